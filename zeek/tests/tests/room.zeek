# @TEST-DOC: What finds no room among the gathered is written as it comes.
# @TEST-EXEC: zeek -C -r $TRACES/answers.pcap $PACKAGE %INPUT
# @TEST-EXEC: zeek-cut rrname rrtype_name seen < pdns.log | awk '$1 == "cdn.example.net"' > found
# @TEST-EXEC: test $(wc -l < found) -eq 2

redef PDNS::max_gathered = 0;
