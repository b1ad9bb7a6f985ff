package rules

// All returns every rule of the pack, in the order of the policy reference.
func All() []Rule {
	return []Rule{
		ledgerDeclared,
		rolloutOrder,

		containerNameRule,
		containerNetwork,
		containerHardening,
		containerLifecycle,
		imagePinned,

		containerMemory,
		appMemoryBudget,
		fleetMemoryBudget,
		hostMemoryCeiling,

		portAllocation,
		hostPort,
		redisAllocation,

		databaseAllocation,
		databaseIsolation,
		databaseProtection,
		connectionBudget,

		dnsAllocation,
		dnsCertificate,
		routeAllocation,

		secretHandling,
	}
}
