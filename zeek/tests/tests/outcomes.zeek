# @TEST-DOC: A question that brings no record is a line too: an error, no data, or no response at all.
# @TEST-EXEC: zeek -C -r $TRACES/answers.pcap $PACKAGE %INPUT
# @TEST-EXEC: zeek-cut rrname rrtype_name outcome seen asked < pdns.log | awk '$3 != "-"' | sort > found
# @TEST-EXEC: sort expected | diff - found

@TEST-START-FILE expected
none.example.com	A	NXDOMAIN	1	T
www.example.com	AAAA	NODATA	1	T
silent.example.com	A	UNANSWERED	1	T
@TEST-END-FILE
