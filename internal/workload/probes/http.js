// Healthy when GET PATH on the container's own port answers 200.
const [port, host, path] = process.argv.slice(1);
require("http")
  .get({ host: "127.0.0.1", port, path, timeout: 4000, headers: { host, "x-forwarded-proto": "https" } },
    (answer) => process.exit(answer.statusCode === 200 ? 0 : 1))
  .on("timeout", () => process.exit(1))
  .on("error", () => process.exit(1));
