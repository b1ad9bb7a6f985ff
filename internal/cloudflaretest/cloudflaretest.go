// Package cloudflaretest emulates the part of Cloudflare's API that the fleet uses: the
// DNS records of zones, with the API's own errors and its rate limit.
package cloudflaretest

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Record is one DNS record, in the API's form.
type Record struct {
	ID       string    `json:"id"`
	ZoneID   string    `json:"zone_id"`
	ZoneName string    `json:"zone_name"`
	Name     string    `json:"name"`
	Type     string    `json:"type"`
	Content  string    `json:"content"`
	Proxied  bool      `json:"proxied"`
	TTL      int       `json:"ttl"`
	Comment  string    `json:"comment,omitempty"`
	Tags     []string  `json:"tags"`
	Created  time.Time `json:"created_on"`
	Modified time.Time `json:"modified_on"`

	Proxiable bool     `json:"proxiable"`
	Settings  struct{} `json:"settings"`
}

// API answers as Cloudflare does. Fill it before it serves; it is safe for concurrent use.
type API struct {
	Token string            // that opens it
	Zones map[string]string // domains by zone id
	// File keeps the records beyond the life of the process; empty for none.
	File string
	// Limit is how many requests it answers within Window before it says 429; 0 for all.
	Limit  int
	Window time.Duration // Cloudflare's own is five minutes and 1200 requests

	mu      sync.Mutex
	records map[string]Record // by id
	started time.Time         // of the current window
	served  int               // in it
}

// New returns an API that knows the zones, with the records of file if there is one.
func New(token string, zones map[string]string, file string) (*API, error) {
	a := &API{Token: token, Zones: zones, File: file, Window: 5 * time.Minute, records: map[string]Record{}}
	if file == "" {
		return a, nil
	}
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the emulated records: %w", err)
	}
	if err := json.Unmarshal(text, &a.records); err != nil {
		return nil, fmt.Errorf("reading the emulated records in %s: %w", file, err)
	}
	return a, nil
}

// Records returns all records, by name.
func (a *API) Records() []Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.SortedFunc(maps.Values(a.records), func(x, y Record) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Type, y.Type), cmp.Compare(x.ID, y.ID))
	})
}

// failure is an answer that is not 2xx.
type failure struct {
	status  int
	code    int
	message string
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	result, failed := a.answer(r)
	body := map[string]any{"success": failed == nil, "errors": []any{}, "messages": []any{}, "result": result}
	status := http.StatusOK
	if list, ok := result.([]Record); ok {
		body["result_info"] = map[string]int{"page": 1, "per_page": 100, "count": len(list), "total_count": len(list), "total_pages": 1}
	}
	if failed != nil {
		status = failed.status
		body["errors"] = []any{map[string]any{"code": failed.code, "message": failed.message}}
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", fmt.Sprint(int(time.Until(a.started.Add(a.Window)).Seconds())+1))
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}

func (a *API) answer(r *http.Request) (any, *failure) {
	if a.limited(time.Now()) {
		return nil, &failure{http.StatusTooManyRequests, 971, "Please wait and consider throttling your request speed"}
	}
	if r.Header.Get("Authorization") != "Bearer "+a.Token {
		return nil, &failure{http.StatusForbidden, 10000, "Authentication error"}
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/client/v4/zones")
	if !ok {
		return nil, noRoute(r)
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if parts[0] == "" && r.Method == http.MethodGet {
		return a.zones(r.URL.Query().Get("name")), nil
	}
	domain, known := a.Zones[parts[0]]
	switch {
	case !known:
		return nil, noRoute(r)
	case len(parts) == 1 && r.Method == http.MethodGet:
		return zone(parts[0], domain), nil
	case len(parts) == 2 && parts[1] == "dns_records":
		return a.collection(r, parts[0], domain)
	case len(parts) == 3 && parts[1] == "dns_records":
		return a.member(r, parts[0], parts[2])
	}
	return nil, noRoute(r)
}

// limited counts the request.
func (a *API) limited(now time.Time) bool {
	if now.Sub(a.started) >= a.Window {
		a.started, a.served = now, 0
	}
	a.served++
	return a.Limit > 0 && a.served > a.Limit
}

func noRoute(r *http.Request) *failure {
	return &failure{http.StatusNotFound, 7003, "Could not route to " + r.URL.Path + ", perhaps your object identifier is invalid?"}
}

func zone(id, domain string) map[string]any {
	return map[string]any{"id": id, "name": domain, "status": "active", "plan": map[string]string{"legacy_id": "free"}}
}

func (a *API) zones(name string) []map[string]any {
	all := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(a.Zones)) {
		if name == "" || name == a.Zones[id] {
			all = append(all, zone(id, a.Zones[id]))
		}
	}
	return all
}

func (a *API) collection(r *http.Request, zoneID, domain string) (any, *failure) {
	switch r.Method {
	case http.MethodGet:
		q := r.URL.Query()
		found := []Record{}
		for _, id := range slices.Sorted(maps.Keys(a.records)) {
			rec := a.records[id]
			if rec.ZoneID == zoneID && (q.Get("name") == "" || q.Get("name") == rec.Name) && (q.Get("type") == "" || q.Get("type") == rec.Type) {
				found = append(found, rec)
			}
		}
		return found, nil
	case http.MethodPost:
		rec := Record{ID: newID(), ZoneID: zoneID, ZoneName: domain, TTL: 1, Tags: []string{}, Created: time.Now().UTC(), Proxiable: true}
		return a.put(r, rec)
	}
	return nil, notAllowed
}

var notAllowed = &failure{http.StatusMethodNotAllowed, 10405, "Method not allowed"}

func (a *API) member(r *http.Request, zoneID, id string) (any, *failure) {
	rec, ok := a.records[id]
	if !ok || rec.ZoneID != zoneID {
		return nil, &failure{http.StatusNotFound, 81044, "Record does not exist."}
	}
	switch r.Method {
	case http.MethodGet:
		return rec, nil
	case http.MethodPatch, http.MethodPut:
		return a.put(r, rec)
	case http.MethodDelete:
		delete(a.records, id)
		return map[string]string{"id": id}, a.save()
	}
	return nil, notAllowed
}

// put writes what the request says over rec and keeps it.
func (a *API) put(r *http.Request, rec Record) (any, *failure) {
	kept := Record{ID: rec.ID, ZoneID: rec.ZoneID, ZoneName: rec.ZoneName, Created: rec.Created, Proxiable: true}
	if err := json.NewDecoder(r.Body).Decode(&rec); err != nil {
		return nil, &failure{http.StatusBadRequest, 9207, "Request body is invalid."}
	}
	rec.ID, rec.ZoneID, rec.ZoneName, rec.Created, rec.Proxiable = kept.ID, kept.ZoneID, kept.ZoneName, kept.Created, true
	rec.Modified = time.Now().UTC()
	if rec.Name == "@" {
		rec.Name = rec.ZoneName
	}
	if rec.Name != rec.ZoneName && !strings.HasSuffix(rec.Name, "."+rec.ZoneName) {
		rec.Name += "." + rec.ZoneName
	}
	if failed := a.refuse(rec); failed != nil {
		return nil, failed
	}
	a.records[rec.ID] = rec
	return rec, a.save()
}

func (a *API) refuse(rec Record) *failure {
	bad := func(code int, message string) *failure { return &failure{http.StatusBadRequest, code, message} }
	address, err := netip.ParseAddr(rec.Content)
	switch {
	case rec.Type == "A" && (err != nil || !address.Is4()):
		return bad(9005, "Content for A record must be a valid IPv4 address.")
	case rec.Type == "":
		return bad(1004, "DNS Validation Error")
	case len(rec.Tags) > 0:
		return bad(9300, fmt.Sprintf("DNS record has %d tags, exceeding the quota of 0.", len(rec.Tags)))
	case len(rec.Comment) > 100:
		return bad(9301, "DNS record comment exceeds the quota of 100 characters.")
	case rec.Proxied && rec.TTL != 1:
		return bad(9021, "TTL must be 1 (automatic) for a proxied record.")
	case rec.TTL != 1 && (rec.TTL < 60 || rec.TTL > 86400):
		return bad(9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for automatic.")
	}
	for _, other := range a.records {
		if other.ID != rec.ID && other.ZoneID == rec.ZoneID && other.Name == rec.Name && other.Type == rec.Type && other.Content == rec.Content {
			return bad(81058, "An identical record already exists.")
		}
	}
	return nil
}

func (a *API) save() *failure {
	if a.File == "" {
		return nil
	}
	text, err := json.MarshalIndent(a.records, "", "  ")
	if err == nil {
		partial := a.File + ".partial"
		if err = os.WriteFile(partial, text, 0o600); err == nil {
			err = os.Rename(partial, a.File)
		}
	}
	if err != nil {
		return &failure{http.StatusInternalServerError, 10013, err.Error()}
	}
	return nil
}

func newID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}
