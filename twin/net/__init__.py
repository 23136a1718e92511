"""Pure computation on a Snapshot: topology, OSPF routing, traffic, demands. Reads nothing, keeps nothing."""
