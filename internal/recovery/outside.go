package recovery

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alorig/fleet/internal/access"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/terminal"
)

// lookTimeout is how long PostgreSQL and Cloudflare may take for one answer.
const lookTimeout = 15 * time.Second

// lookInPostgres looks for the roles and databases that were being created, by name: the
// ledger gives each name once.
func (r *Recovery) lookInPostgres(ctx context.Context, operations []Operation) error {
	var connection *pgx.Conn
	for i := range operations {
		o := &operations[i]
		name := o.input("name")
		if !o.adoptable(typeRole, typeDatabase) || name == "" {
			continue
		}
		if connection == nil {
			var err error
			if connection, err = r.connect(ctx); err != nil {
				return err
			}
			defer connection.Close(context.WithoutCancel(ctx)) //nolint:errcheck // everything has been read
		}
		query := "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)"
		if o.Type == typeDatabase {
			query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
		}
		ctx, stop := context.WithTimeout(ctx, lookTimeout)
		var exists bool
		err := connection.QueryRow(ctx, query, name).Scan(&exists)
		stop()
		if err != nil {
			return fmt.Errorf("asking PostgreSQL for %s: %w", name, err)
		}
		if exists {
			o.Exists = name // the ID of either, in the provider
		}
	}
	return nil
}

func (r *Recovery) connect(ctx context.Context) (*pgx.Conn, error) {
	password, err := r.cli.Secret(ctx, settings.Project+":postgresPassword")
	if err != nil {
		return nil, err
	}
	pg := r.options.Settings.Postgres
	// As the program's provider is configured: the connection ends on the server itself, or
	// travels inside SSH.
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	config.Host, config.Port, config.User, config.Password, config.Database = pg.Host, uint16(pg.Port), pg.User, password, "postgres" //nolint:gosec // a port
	config.ConnectTimeout = lookTimeout
	config.Fallbacks = nil
	where := net.JoinHostPort(pg.Host, strconv.Itoa(pg.Port))
	if access.NeedsForward(r.options.Settings) { // it would lead where this command is already
		to := access.Postgres(r.options.Ledger)
		where = to.Container + " on the server"
		config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return r.server.Dial(ctx, to) }
	}
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not answer, at %s: %w; alorig:postgres and alorig:postgresPassword say how it is reached", where, err)
	}
	return connection, nil
}

// record is a DNS record in the form of Cloudflare's API.
type record struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Content string `json:"content"`
	Comment string `json:"comment"`
}

// lookAtCloudflare looks for the records that were being created. A record is ours when it
// has our comment and our content.
func (r *Recovery) lookAtCloudflare(ctx context.Context, operations []Operation) error {
	token := ""
	for i := range operations {
		o := &operations[i]
		zone, name := o.input("zoneId"), o.input("name")
		if !o.adoptable(typeRecord) || zone == "" || name == "" {
			continue
		}
		if token == "" {
			var err error
			if token, err = r.cli.Secret(ctx, settings.Project+":cloudflareApiToken"); err != nil {
				return err
			}
		}
		records, err := r.records(ctx, zone, name, token)
		if err != nil {
			return err
		}
		o.judgeRecords(records)
	}
	return nil
}

// judgeRecords tells to whom the existing records with the same name belong.
func (o *Operation) judgeRecords(records []record) {
	for _, found := range records {
		same := found.Type == o.input("type") && found.Content == o.input("content")
		described := terminal.Line(fmt.Sprintf("%s record of %s to %s", found.Type, found.Name, found.Content))
		switch {
		case same && found.Comment == o.input("comment"):
			o.Exists = found.ID
		case same, found.Type == "CNAME", o.input("type") == "CNAME":
			o.Taken = fmt.Sprintf("the %s with the comment %q, which is not ours", described, found.Comment)
		case found.Type == "A" || found.Type == "AAAA":
			o.Beside = fmt.Sprintf("the %s with the comment %q, which is not ours; visitors are given both", described, found.Comment)
		}
	}
}

func (r *Recovery) records(ctx context.Context, zone, name, token string) ([]record, error) {
	address := url.URL{
		Scheme: "https", Host: cmp.Or(r.options.Settings.CloudflareHost, "api.cloudflare.com"), Path: "/client/v4/zones/" + url.PathEscape(zone) + "/dns_records",
		RawQuery: url.Values{"name": {name}, "per_page": {"100"}}.Encode(),
	}
	ctx, stop := context.WithTimeout(ctx, lookTimeout)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking Cloudflare for %s: %w", name, err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking Cloudflare for %s: %w", name, err)
	}
	defer response.Body.Close() //nolint:errcheck // everything has been read
	var answer struct {
		Success bool                       `json:"success"`
		Errors  []struct{ Message string } `json:"errors"`
		Result  []record                   `json:"result"`
	}
	err = json.NewDecoder(response.Body).Decode(&answer)
	switch {
	case err == nil && answer.Success:
		return answer.Result, nil
	case len(answer.Errors) > 0:
		return nil, fmt.Errorf("asking Cloudflare for %s: %s: %s; the token needs Zone.DNS Edit on the zone", name, response.Status, terminal.Line(answer.Errors[0].Message))
	default:
		return nil, fmt.Errorf("asking Cloudflare for %s: %s", name, response.Status)
	}
}

// recordState returns what the state has to hold of a record that is adopted. The provider's
// own import (Terraform's 4.51) cuts the zone off the name and leaves out the content, so the
// next update would replace the record (tried). The refresh that follows reads the rest.
// schema_version is that of the provider.
func (o Operation) recordState() (inputs, outputs map[string]any) {
	outputs = maps.Clone(o.inputs)
	delete(outputs, "__defaults")
	outputs["id"], outputs["hostname"] = o.Exists, o.input("name")
	outputs["__meta"] = `{"schema_version":"3"}`
	return o.inputs, outputs
}
