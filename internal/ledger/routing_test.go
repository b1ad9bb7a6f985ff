package ledger

import "testing"

func TestCertificateFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		host, zone string
		want       Certificate
	}{
		{"psydge.com", "psydge.com", CertificateEdge},
		{"api.psydge.com", "psydge.com", CertificateEdge},
		{"*.psydge.com", "psydge.com", CertificateEdge},
		{"schools.alorig.com", "alorig.com", CertificateEdge},
		{"api.schools.alorig.com", "alorig.com", CertificateOrigin},
		{"*.sites.alorig.com", "alorig.com", CertificateOrigin},
		{"a.b.c.alorig.com", "alorig.com", CertificateOrigin},
		{"psydge.com", "alorig.com", CertificateNone},
		{"notalorig.com", "alorig.com", CertificateNone},
		{"com", "alorig.com", CertificateNone},
		{"alorig.com.evil.org", "alorig.com", CertificateNone},
		{"", "alorig.com", CertificateNone},
	} {
		if got := CertificateFor(tt.host, tt.zone); got != tt.want {
			t.Errorf("%s in %s has the certificate %q, want %q", tt.host, tt.zone, got, tt.want)
		}
	}
}

// The cases of RFC 4592, section 2.2.1, and those the seed meets.
func TestCovers(t *testing.T) {
	t.Parallel()
	rfc := []string{"*.example", "sub.*.example", "host1.example", "_ssh._tcp.host1.example", "_ssh._tcp.host2.example", "subdel.example"}
	for _, tt := range []struct {
		name, pattern, host string
		others              []string
		want                bool
	}{
		{"itself", "psydge.com", "psydge.com", nil, true},
		{"another name", "psydge.com", "api.psydge.com", nil, false},
		{"below a wildcard", "*.alorig.com", "api.alorig.com", nil, true},
		{"far below a wildcard", "*.alorig.com", "a.b.c.alorig.com", nil, true},
		{"a wildcard's parent", "*.alorig.com", "alorig.com", nil, false},
		{"a name that only ends alike", "*.alorig.com", "notalorig.com", nil, false},
		{"the wildcard itself", "*.alorig.com", "*.alorig.com", nil, true},

		{"a name with a record", "*.alorig.com", "schools.alorig.com", []string{"*.alorig.com", "schools.alorig.com"}, false},
		{"below a name with a record", "*.alorig.com", "api.schools.alorig.com", []string{"*.alorig.com", "schools.alorig.com"}, false},
		{"beside a name with a record", "*.alorig.com", "cms.alorig.com", []string{"*.alorig.com", "schools.alorig.com"}, true},
		{"records of other zones", "*.alorig.com", "cms.alorig.com", []string{"cms.psydge.com", "alorig.com"}, true},
		{"a deeper wildcard takes over", "*.alorig.com", "a.sites.alorig.com", []string{"*.alorig.com", "*.sites.alorig.com"}, false},
		{"the deeper wildcard answers", "*.sites.alorig.com", "a.sites.alorig.com", []string{"*.alorig.com", "*.sites.alorig.com"}, true},
		{"a deeper wildcard makes its parent exist", "*.alorig.com", "sites.alorig.com", []string{"*.alorig.com", "*.sites.alorig.com"}, false},
		{"a name exists because one below it does", "*.alorig.com", "schools.alorig.com", []string{"*.alorig.com", "api.schools.alorig.com"}, false},
		{"so do the names below it", "*.alorig.com", "new.schools.alorig.com", []string{"*.alorig.com", "api.schools.alorig.com"}, false},

		{"RFC 4592 host3", "*.example", "host3.example", rfc, true},
		{"RFC 4592 foo.bar", "*.example", "foo.bar.example", rfc, true},
		{"RFC 4592 host1", "*.example", "host1.example", rfc, false},
		{"RFC 4592 _telnet._tcp.host1", "*.example", "_telnet._tcp.host1.example", rfc, false},
		{"RFC 4592 host.subdel", "*.example", "host.subdel.example", rfc, false},
		{"RFC 4592 host2, an empty non-terminal", "*.example", "host2.example", rfc, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Covers(tt.pattern, tt.host, tt.others); got != tt.want {
				t.Errorf("%s answers for %s: %v, want %v", tt.pattern, tt.host, got, tt.want)
			}
		})
	}
}

func TestOverlaps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		a, b Route
		want bool
	}{
		{"the same", Route{Host: "a.com", Path: "/x"}, Route{Host: "a.com", Path: "/x"}, true},
		{"whole host and path", Route{Host: "a.com"}, Route{Host: "a.com", Path: "/x"}, true},
		{"path and path below", Route{Host: "a.com", Path: "/x"}, Route{Host: "a.com", Path: "/x/y"}, true},
		{"paths that start alike", Route{Host: "a.com", Path: "/x"}, Route{Host: "a.com", Path: "/xy"}, false},
		{"two paths", Route{Host: "a.com", Path: "/x"}, Route{Host: "a.com", Path: "/y"}, false},
		{"two hosts", Route{Host: "a.com"}, Route{Host: "b.com"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.a.Overlaps(tt.b) != tt.want || tt.b.Overlaps(tt.a) != tt.want {
				t.Errorf("%s and %s overlap: %v and %v, want %v", tt.a.Key(), tt.b.Key(), tt.a.Overlaps(tt.b), tt.b.Overlaps(tt.a), tt.want)
			}
		})
	}
}
