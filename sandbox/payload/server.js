// Stands for Payload CMS: a Node process beside Django, with a database of its own.
const http = require("http");
const { Pool } = require("pg");

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.DATABASE_POOL_MAX) });
pool.on("error", (problem) => console.error("database:", problem.code));

const server = http.createServer(async (request, response) => {
  const answer = (status, body) => response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  if (request.url !== "/health") {
    return answer(200, { app: process.env.ALORIG_APP, host: request.headers.host, path: request.url, version: process.env.DEMO_VERSION });
  }
  try {
    await pool.query("SELECT 1");
    answer(200, { status: "ok" });
  } catch (problem) {
    console.error("unhealthy:", problem.code);
    answer(503, { status: "unavailable" });
  }
});

server.listen(Number(process.env.PORT), process.env.HOSTNAME, () => console.log("listening on", process.env.PORT));
process.on("SIGTERM", () => server.close(() => pool.end().then(() => process.exit(0))));
