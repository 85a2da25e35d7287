# @TEST-DOC: Each record of an answer has its own line, with owner, type, TTL and RDATA.
# @TEST-EXEC: zeek -C -r $TRACES/answers.pcap $PACKAGE %INPUT
# @TEST-EXEC: zeek-cut rrname rrtype_name section rdata ttl seen asked zone < pdns.log | awk -F'\t' '$3 != "-"' | sort > found
# @TEST-EXEC: sort expected | diff - found

@TEST-START-FILE expected
www.example.com	CNAME	answer	cdn.example.net	300.000000	2	T	-
cdn.example.net	A	answer	192.0.2.7	60.000000	2	T	-
example.com	MX	answer	10,mail.example.com	300.000000	1	T	-
example.com	TXT	answer	v=spf1 -all%22,second	300.000000	1	T	-
example.com	NS	authority	ns1.example.com	300.000000	1	T	-
ns1.example.com	A	additional	192.0.2.53	300.000000	1	T	example.com
example.com	SOA	authority	ns1.example.com,root.example.com,1,7200,3600,1209600,300	300.000000	1	T	-
@TEST-END-FILE
