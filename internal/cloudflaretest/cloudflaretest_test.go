package cloudflaretest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

const zoneID = "5a4db0c5a4db0c5a4db0c5a4db0c0001"

type reply struct {
	Success bool
	Errors  []struct {
		Code    int
		Message string
	}
	Result json.RawMessage
}

func call(t *testing.T, a *API, method, path, body string) (int, reply) {
	t.Helper()
	r := httptest.NewRequest(method, "/client/v4/zones"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer token")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	var got reply
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
	}
	return w.Code, got
}

func newAPI(t *testing.T, file string) *API {
	t.Helper()
	a, err := New("token", map[string]string{zoneID: "alorig.com"}, file)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestARecordLives(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records.json")
	a := newAPI(t, file)
	at := "/" + zoneID + "/dns_records"
	status, got := call(t, a, http.MethodPost, at, `{"name":"api","type":"A","content":"192.0.2.1","proxied":true,"ttl":1}`)
	var made Record
	if err := json.Unmarshal(got.Result, &made); err != nil || status != 200 || made.Name != "api.alorig.com" {
		t.Fatalf("create: %d %v %+v", status, err, made)
	}
	if status, _ := call(t, a, http.MethodPatch, at+"/"+made.ID, `{"content":"192.0.2.2"}`); status != 200 {
		t.Errorf("update: %d", status)
	}
	a = newAPI(t, file) // a restart
	if records := a.Records(); len(records) != 1 || records[0].Content != "192.0.2.2" || !records[0].Proxied {
		t.Errorf("after a restart: %+v", records)
	}
	if status, _ := call(t, a, http.MethodDelete, at+"/"+made.ID, ""); status != 200 {
		t.Errorf("delete: %d", status)
	}
	if status, got := call(t, a, http.MethodGet, at+"/"+made.ID, ""); status != 404 || got.Errors[0].Code != 81044 {
		t.Errorf("read of a deleted record: %d %+v", status, got)
	}
}

func TestRefusals(t *testing.T) {
	at := "/" + zoneID + "/dns_records"
	const record = `{"name":"x.alorig.com","type":"A","content":"192.0.2.1","ttl":1}`
	tests := []struct {
		name, method, path, body string
		status, code             int
	}{
		{"unknown zone", "GET", "/ffffffffffffffffffffffffffffffff/dns_records", "", 404, 7003},
		{"identical record", "POST", at, record, 400, 81058},
		{"proxied with a TTL", "POST", at, `{"name":"y","type":"A","content":"192.0.2.1","proxied":true,"ttl":300}`, 400, 9021},
		{"no address", "POST", at, `{"name":"y","type":"A","content":"alorig.com","ttl":1}`, 400, 9005},
		{"tags on the free plan", "POST", at, `{"name":"y","type":"A","content":"192.0.2.1","ttl":1,"tags":["a"]}`, 400, 9300},
		{"no JSON", "POST", at, `{`, 400, 9207},
		{"a method nobody has", "PURGE", at, "", 405, 10405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAPI(t, "")
			call(t, a, http.MethodPost, at, record)
			status, got := call(t, a, tt.method, tt.path, tt.body)
			if status != tt.status || len(got.Errors) != 1 || got.Errors[0].Code != tt.code || got.Success {
				t.Errorf("answers %d %+v, want %d with code %d", status, got, tt.status, tt.code)
			}
		})
	}
}

func TestTokenAndLimit(t *testing.T) {
	a := newAPI(t, "")
	a.Limit = 1
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/client/v4/zones", nil))
	if w.Code != http.StatusForbidden {
		t.Errorf("without a token: %d", w.Code)
	}
	if status, got := call(t, a, http.MethodGet, "", ""); status != http.StatusTooManyRequests || got.Success {
		t.Errorf("above the limit: %d %+v", status, got)
	}
}
