package ledger

import "net/netip"

// Gateway is the address of the server itself on a managed network: the first one.
func Gateway(subnet netip.Prefix) netip.Addr { return subnet.Masked().Addr().Next() }

// PostgresAddress is the one fixed address of a managed network, the second one.
// PostgreSQL publishes no port, so whoever changes databases, from the server itself or
// through an SSH forward, must know its address before it exists.
func PostgresAddress(subnet netip.Prefix) netip.Addr { return Gateway(subnet).Next() }

// DockerAddresses is the upper half of the subnet, from which Docker gives addresses.
// From the whole subnet, the first container to start would get PostgreSQL's.
func DockerAddresses(subnet netip.Prefix) netip.Prefix {
	address := subnet.Masked().Addr().As4()
	address[subnet.Bits()/8] |= 0x80 >> (subnet.Bits() % 8)
	return netip.PrefixFrom(netip.AddrFrom4(address), subnet.Bits()+1)
}
