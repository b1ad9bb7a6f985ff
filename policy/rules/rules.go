package rules

// All returns every rule of the pack, in the order of the policy reference.
func All() []Rule {
	return []Rule{
		containerMemory,
	}
}
