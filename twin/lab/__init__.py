"""The lab: real routers (FRR, net-snmp, lldpd, netconfd) in network namespaces, with real traffic."""
