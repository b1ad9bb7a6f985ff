package ledger

// Alorig returns the ledger of the Alorig server. Every call returns a copy of its own.
//
// Of each app the seed gives the budget; the split over its containers, the hard
// limits and the connection shares are ours (docs/adr/0002-memory-split.md).
func Alorig() Ledger {
	igny8Production, igny8Staging := 0, 1
	return Ledger{
		Server: Server{
			Memory:         16 * GB,
			UpgradeTrigger: 13 * GB,
			Connections:    80,
			RedisMemory:    2 * GB,
			Network:        "alorig_net",
		},
		Reserved: []Reservation{
			{
				Name:        "os",
				Memory:      Memory{Steady: 1 * GB, Limit: 1 * GB},
				Connections: 2, // the operator and monitoring
			},
			{
				Name: "igny8",
				Containers: []string{
					"igny8_backend", "igny8_frontend", "igny8_celery_worker",
					"igny8_celery_beat", "igny8_celery_video_worker",
				},
				Memory:      Memory{Steady: 1250, Limit: 1400},
				Port:        8011,
				RedisDB:     &igny8Production,
				Connections: 12,
			},
			{
				Name:        "igny8-staging",
				Memory:      Memory{Steady: 550, Limit: 600},
				Port:        8031,
				RedisDB:     &igny8Staging,
				Connections: 4,
			},
		},
		Services: []Service{
			{Container: "alorig_postgres", Kind: Postgres, Port: 5432, Memory: Memory{Steady: 1400, Limit: 2000}},
			// The limit leaves room for the 2 GB at which the seed wants a review. Redis may hold
			// less than half of it (Service.Data).
			{Container: "alorig_redis", Kind: Redis, Port: 6379, Memory: Memory{Steady: 600, Limit: 2200}},
			{Container: "alorig_caddy", Kind: Caddy, Port: 443, HostPorts: []int{80, 443}, Memory: Memory{Steady: 200, Limit: 300}},
			{Container: "portainer", Kind: Portainer, Port: 9000, Memory: Memory{Steady: 300, Limit: 350}},
			{Container: "flower", Kind: Flower, Port: 5555, Memory: Memory{Steady: 150, Limit: 250}, OnDemand: true},
		},
		Apps: []App{
			{
				Name: "psydge", Title: "Psydge",
				Blueprint: "Psydge blueprint (Alorig-Master-Plan-v1.md; seed 05 §4)",
				Budget:    1750,
				Containers: []Container{
					{Role: Backend, Image: "psydge-backend", Port: 8012, Memory: Memory{550, 700}, Database: "psydge_db", Connections: 6},
					{Role: Channels, Image: "psydge-backend", Port: 8013, Memory: Memory{350, 450}, Database: "psydge_db", Connections: 2},
					{Role: Worker, Image: "psydge-backend", Memory: Memory{700, 900}, Database: "psydge_db", Connections: 4},
					{Role: Beat, Image: "psydge-backend", Memory: Memory{150, 200}, Database: "psydge_db", Connections: 1},
				},
				RedisDB: 2, KeyPrefix: "psydge:",
				Databases: []Database{{Name: "psydge_db", Role: "psydge", Connections: 13}},
				Hosts: []Host{
					{Name: "psydge.com", Zone: "psydge.com", Proxied: true},
					{Name: "api.psydge.com", Zone: "psydge.com", Proxied: true},
					{Name: "ws.psydge.com", Zone: "psydge.com", Proxied: true},
				},
				Routes: []Route{
					{Host: "psydge.com", Static: "web"},
					{Host: "api.psydge.com", Upstream: Backend},
					{Host: "ws.psydge.com", Upstream: Channels, WebSocket: true},
				},
			},
			{
				Name: "snapify", Title: "Snapify",
				Blueprint: "Snapify blueprint (Alorig-Master-Plan-v1.md; seed 05 §5)",
				Budget:    700,
				Containers: []Container{
					{Role: Backend, Image: "snapify-backend", Port: 8014, Memory: Memory{300, 400}, Database: "snapify_db", Connections: 4},
					{Role: Worker, Image: "snapify-backend", Memory: Memory{280, 350}, Database: "snapify_db", Connections: 3},
					{Role: Beat, Image: "snapify-backend", Memory: Memory{120, 150}, Database: "snapify_db", Connections: 1},
				},
				RedisDB: 3, KeyPrefix: "snapify:",
				Databases: []Database{{Name: "snapify_db", Role: "snapify", Connections: 8, Extensions: []string{"pg_trgm"}}},
				Hosts: []Host{
					{Name: "snapify.pk", Zone: "snapify.pk", Proxied: true},
					{Name: "api.snapify.pk", Zone: "snapify.pk", Proxied: true},
					{Name: "app.snapify.pk", Zone: "snapify.pk", Proxied: true},
					{Name: "admin.snapify.pk", Zone: "snapify.pk", Proxied: true},
				},
				Routes: []Route{
					{Host: "snapify.pk", Upstream: Backend},
					{Host: "api.snapify.pk", Upstream: Backend, AddPrefix: "/api"},
					{Host: "app.snapify.pk", Static: "app"},
					{Host: "admin.snapify.pk", Static: "admin", Restricted: true},
				},
			},
			{
				Name: "sitebuilder", Title: "Alorig Site Builder",
				Blueprint: "Alorig Site Builder blueprint (Alorig-Master-Plan-v1.md; seed 05 §6)",
				Budget:    1250,
				Containers: []Container{
					{Role: Backend, Image: "sitebuilder-backend", Port: 8016, Memory: Memory{350, 450}, Database: "sitebuilder_db", Connections: 4},
					{Role: Payload, Image: "sitebuilder-payload", Port: 8017, Memory: Memory{450, 600}, Database: "sitebuilder_payload_db", Connections: 3},
					{Role: Worker, Image: "sitebuilder-backend", Memory: Memory{320, 400}, Database: "sitebuilder_db", Connections: 3},
					{Role: Beat, Image: "sitebuilder-backend", Memory: Memory{130, 150}, Database: "sitebuilder_db", Connections: 1},
				},
				RedisDB: 4, KeyPrefix: "sitebuilder:",
				Databases: []Database{
					{Name: "sitebuilder_db", Role: "sitebuilder", Connections: 8},
					{Name: "sitebuilder_payload_db", Role: "sitebuilder_payload", Connections: 3},
				},
				Hosts: []Host{
					{Name: "alorig.com", Zone: "alorig.com", Proxied: true},
					{Name: "api.alorig.com", Zone: "alorig.com", Proxied: true},
					{Name: "cms.alorig.com", Zone: "alorig.com", Proxied: true},
					{Name: "*.sites.alorig.com", Zone: "alorig.com"},
				},
				Routes: []Route{
					{Host: "alorig.com", Path: "/builder", Static: "builder"},
					{Host: "api.alorig.com", Path: "/builder", Upstream: Backend},
					{Host: "cms.alorig.com", Upstream: Payload},
					{Host: "*.sites.alorig.com", Upstream: Payload},
				},
			},
			{
				Name: "observer", Title: "Observer OS",
				Blueprint: "Observer OS blueprint (Alorig-Master-Plan-v1.md; seed 05 §7)",
				Budget:    700,
				Containers: []Container{
					{Role: Backend, Image: "observer-backend", Port: 8018, Memory: Memory{300, 400}, Database: "observer_db", Connections: 4},
					{Role: Worker, Image: "observer-backend", Memory: Memory{280, 350}, Database: "observer_db", Connections: 2},
					{Role: Beat, Image: "observer-backend", Memory: Memory{120, 150}, Database: "observer_db", Connections: 1},
				},
				RedisDB: 5, KeyPrefix: "observer:",
				Databases: []Database{{Name: "observer_db", Role: "observer", Connections: 7}},
				Hosts: []Host{
					{Name: "observeros.app", Zone: "observeros.app", Proxied: true},
					{Name: "api.observeros.app", Zone: "observeros.app", Proxied: true},
				},
				Routes: []Route{
					{Host: "observeros.app", Static: "web"},
					{Host: "api.observeros.app", Upstream: Backend},
				},
			},
			{
				Name: "astrotiming", Title: "AstroTiming",
				Blueprint: "AstroTiming blueprint (Alorig-Master-Plan-v1.md; seed 05 §8)",
				Budget:    400,
				Containers: []Container{
					{Role: Backend, Image: "astrotiming-backend", Port: 8020, Memory: Memory{170, 220}, Database: "astrotiming_db", Connections: 2},
					{Role: Worker, Image: "astrotiming-backend", Memory: Memory{130, 170}, Database: "astrotiming_db", Connections: 2},
					{Role: Beat, Image: "astrotiming-backend", Memory: Memory{100, 130}, Database: "astrotiming_db", Connections: 1},
				},
				RedisDB: 6, KeyPrefix: "astrotiming:",
				Databases: []Database{{Name: "astrotiming_db", Role: "astrotiming", Connections: 5}},
				Hosts: []Host{
					{Name: "astrotiming.com", Zone: "astrotiming.com", Proxied: true},
					{Name: "api.astrotiming.com", Zone: "astrotiming.com", Proxied: true},
				},
				Routes: []Route{
					{Host: "astrotiming.com", Static: "web"},
					{Host: "api.astrotiming.com", Upstream: Backend},
				},
			},
			{
				Name: "asms", Title: "ASMS Phase 1",
				Blueprint: "ASMS blueprint (Alorig-Master-Plan-v1.md; seed 05 §9)",
				Budget:    600,
				Containers: []Container{
					{Role: Backend, Image: "asms-backend", Port: 8022, Memory: Memory{270, 350}, Database: "asms_db", Connections: 4},
					{Role: Worker, Image: "asms-backend", Memory: Memory{220, 280}, Database: "asms_db", Connections: 2},
					{Role: Beat, Image: "asms-backend", Memory: Memory{110, 150}, Database: "asms_db", Connections: 1},
				},
				RedisDB: 7, KeyPrefix: "asms:",
				Databases: []Database{{Name: "asms_db", Role: "asms", Connections: 7}},
				Hosts: []Host{
					{Name: "schools.alorig.com", Zone: "alorig.com", Proxied: true},
					{Name: "api.schools.alorig.com", Zone: "alorig.com"},
				},
				Routes: []Route{
					{Host: "schools.alorig.com", Static: "web"},
					{Host: "api.schools.alorig.com", Upstream: Backend},
				},
			},
		},
	}
}
