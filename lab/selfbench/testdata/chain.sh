#!/bin/sh
# chain.sh N VIP PORT TO: the text of a linear chain as kube-proxy has it, a rule for TCP for
# each of N Services and one for UDP for the last of them, for iptables-legacy-restore. The
# last one is that of VIP:PORT, of which all flows go TO, an address and port.
exec awk -v n="$1" -v vip="$2" -v port="$3" -v to="$4" 'BEGIN {
	print "*nat\n:SERVICES - [0:0]\n:ENDPOINT - [0:0]"
	print "-A PREROUTING -j SERVICES"
	print "-A ENDPOINT -p tcp -j DNAT --to-destination " to
	print "-A ENDPOINT -p udp -j DNAT --to-destination " to
	for (i = 1; i <= n; i++) {
		addr = i == n ? vip : "10.111." int(i / 250) "." i % 250 + 1
		for (p = 0; p <= (i == n); p++) {
			proto = p ? "udp" : "tcp"
			print "-A SERVICES -d " addr "/32 -p " proto " -m comment --comment \"ns/svc-" i " cluster IP\" -m " proto " --dport " port " -j ENDPOINT"
		}
	}
	print "COMMIT"
}'
