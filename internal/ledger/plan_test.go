package ledger_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/markdown"
)

// The tests of this file read the owner's plan from docs/plan.md, which restates it
// figure by figure, and hold the ledger to it.

// plan is docs/plan.md.
type plan struct {
	*testing.T
	document markdown.Document
}

func readPlan(t *testing.T) plan {
	t.Helper()
	document, err := markdown.Read("../../docs/plan.md")
	if err != nil {
		t.Fatal(err)
	}
	return plan{t, document}
}

// table returns the rows of a section's table with this header, the columns in the
// header's order.
func (p plan) table(section string, head ...string) [][]string {
	p.Helper()
	rows, err := p.document.Rows(section, head...)
	if err != nil {
		p.Fatal(err)
	}
	return rows
}

// memory reads an amount as the plan writes it.
func (p plan) memory(text string) ledger.MiB {
	p.Helper()
	number, unit, _ := strings.Cut(text, " ")
	amount, err := strconv.ParseFloat(number, 64)
	if err != nil || unit != "GB" && unit != "MB" {
		p.Fatalf("docs/plan.md: %q is no amount of memory", text)
	}
	if unit == "GB" {
		amount *= float64(ledger.GB)
	}
	return ledger.MiB(amount)
}

// number reads a whole number; an empty cell is 0.
func (p plan) number(text string) int {
	p.Helper()
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		p.Fatalf("docs/plan.md: %q is no number", text)
	}
	return n
}

func (p plan) same(what string, got, want any) {
	p.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		p.Errorf("%s: the ledger has %v, the plan says %v", what, got, want)
	}
}

func reserved(l ledger.Ledger, name string) ledger.Reservation {
	for _, r := range l.Reserved {
		if r.Name == name {
			return r
		}
	}
	return ledger.Reservation{}
}

func TestSharedServicesOfThePlan(t *testing.T) {
	t.Parallel()
	p, l := readPlan(t), ledger.Alorig()
	var names []string
	for _, row := range p.table("§1 What is there", "service", "what it is") {
		names = append(names, row[0])
		for _, s := range l.Services {
			if s.Container == row[0] {
				p.same(s.Container+" on demand", s.OnDemand, strings.Contains(row[1], "on demand"))
			}
		}
	}
	var services []string
	for _, s := range l.Services {
		services = append(services, s.Container)
	}
	p.same("shared services", services, names)
	p.same("network", slices.Contains(p.document.Spans, l.Server.Network), true)

	for _, row := range p.table("§1 What is there", "IGNY8", "port", "Redis DB") {
		r := reserved(l, map[string]string{"production": "igny8", "staging": "igny8-staging"}[row[0]])
		p.same("port of IGNY8 "+row[0], r.Port, p.number(row[1]))
		if r.RedisDB == nil {
			t.Errorf("IGNY8 %s has no Redis DB, the plan says %s", row[0], row[2])
			continue
		}
		p.same("Redis DB of IGNY8 "+row[0], *r.RedisDB, p.number(row[2]))
	}
	var igny8 []string
	for _, span := range p.document.Spans {
		if strings.HasPrefix(span, "igny8_") {
			igny8 = append(igny8, span)
		}
	}
	p.same("containers of IGNY8", reserved(l, "igny8").Containers, igny8)
}

func TestMemoryOfThePlan(t *testing.T) {
	t.Parallel()
	p, l := readPlan(t), ledger.Alorig()
	var shared ledger.MiB
	for _, s := range l.Services {
		if !s.OnDemand {
			shared += s.Memory.Steady
		}
	}
	booked := map[string]ledger.MiB{
		"Shared services (PostgreSQL, Redis, Caddy, Portainer)": shared,
		"IGNY8, production and staging":                         reserved(l, "igny8").Memory.Steady + reserved(l, "igny8-staging").Memory.Steady,
		"Operating system and Docker":                           reserved(l, "os").Memory.Steady,
		"Sum":                                                   l.Totals().Steady,
		"Server":                                                l.Server.Memory,
		"Upgrade trigger":                                       l.Server.UpgradeTrigger,
	}
	for _, a := range l.Apps {
		booked[a.Title] = a.Budget
		p.same("containers of "+a.Title+" together", a.Steady(), a.Budget)
	}
	rows := p.table("Memory", "what", "memory")
	if len(rows) != len(booked) {
		t.Errorf("the plan has %d lines of memory, the ledger %d", len(rows), len(booked))
	}
	for _, row := range rows {
		got, ok := booked[row[0]]
		if !ok {
			t.Errorf("the ledger books nothing for %q", row[0])
			continue
		}
		p.same("memory of "+row[0], got, p.memory(row[1]))
	}
}

func TestLimitsOfThePlan(t *testing.T) {
	t.Parallel()
	p, server := readPlan(t), ledger.Alorig().Server
	limits := map[string]string{}
	for _, row := range p.table("§10 Watching an app", "what", "limit", "what to do") {
		limits[row[0]] = row[1]
	}
	p.same("steady state", server.UpgradeTrigger, p.memory(limits["steady state"]))
	p.same("PostgreSQL connections", server.Connections, p.number(limits["PostgreSQL connections"]))
	p.same("Redis memory", server.RedisMemory, p.memory(limits["Redis memory"]))
}

func TestOrderOfThePlan(t *testing.T) {
	t.Parallel()
	p, l := readPlan(t), ledger.Alorig()
	rows := p.table("§2 What to build", "#", "app", "memory", "why at this place")
	if len(rows) != len(l.Apps) {
		t.Fatalf("the ledger has %d apps, the plan %d", len(l.Apps), len(rows))
	}
	for i, a := range l.Apps {
		p.same("app "+rows[i][0], fmt.Sprint(i+1, a.Title), fmt.Sprint(p.number(rows[i][0]), rows[i][1]))
		p.same("budget of "+a.Title, a.Budget, p.memory(rows[i][2]))
	}
}

func TestPortsAndRedisOfThePlan(t *testing.T) {
	t.Parallel()
	p, l := readPlan(t), ledger.Alorig()
	rows := p.table("§3 What all apps have in common", "app", "backend port", "further port", "Redis DB")
	if len(rows) != len(l.Apps) {
		t.Fatalf("the ledger has %d apps, the plan %d", len(l.Apps), len(rows))
	}
	for i, a := range l.Apps {
		var backend, further int
		for _, c := range a.Containers {
			switch {
			case c.Role == ledger.Backend:
				backend = c.Port
			case c.Port != 0:
				further = c.Port
			}
		}
		p.same(rows[i][0], []any{a.Title, backend, further, a.RedisDB}, []any{rows[i][0], p.number(rows[i][1]), p.number(rows[i][2]), p.number(rows[i][3])})
	}
}

// Sections 4 to 9 have one app each.
func TestAppsOfThePlan(t *testing.T) {
	t.Parallel()
	for i, a := range ledger.Alorig().Apps {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			p := readPlan(t)
			section := fmt.Sprintf("§%d %s", i+4, a.Title)
			p.same("section of the blueprint", strings.Contains(a.Blueprint, fmt.Sprintf("seed 05 §%d", i+4)), true)

			var declared, planned [][]string
			for _, c := range a.Containers {
				port := ""
				if c.Port != 0 {
					port = strconv.Itoa(c.Port)
				}
				declared = append(declared, []string{ledger.ContainerName(a.Name, c.Role), c.Image, port})
			}
			for _, row := range p.table(section, "container", "image", "port", "does") {
				planned = append(planned, row[:3])
			}
			slices.SortFunc(declared, slices.Compare[[]string])
			slices.SortFunc(planned, slices.Compare[[]string])
			p.same("containers", declared, planned)

			var databases []string
			for _, d := range a.Databases {
				databases = append(databases, d.Name)
			}
			stores := []string{strings.Join(databases, ", "), strconv.Itoa(a.RedisDB), a.KeyPrefix}
			p.same("databases, Redis DB and key prefix", stores, p.table(section, "database", "Redis DB", "key prefix")[0])

			var routes [][]string
			for _, r := range a.Routes {
				routes = append(routes, []string{r.Key(), answers(a, r)})
			}
			p.same("routes", routes, p.table(section, "route", "served by"))
		})
	}
}

// answers says what serves a route, in the plan's words.
func answers(a ledger.App, r ledger.Route) string {
	by := "static"
	if c, ok := a.Container(r.Upstream); ok {
		by = ledger.ContainerName(a.Name, c.Role) + ":" + strconv.Itoa(c.Port) + r.AddPrefix
	}
	if r.WebSocket {
		by += " (WebSocket)"
	}
	if r.Restricted {
		by += " (IP-restricted)"
	}
	return by
}
