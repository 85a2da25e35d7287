# @TEST-DOC: Without a window each record is written at once, once for each response.
# @TEST-EXEC: zeek -C -r $TRACES/answers.pcap $PACKAGE %INPUT
# @TEST-EXEC: zeek-cut rrname seen < pdns.log | awk '$1 == "cdn.example.net" && $2 == 1' > found
# @TEST-EXEC: test $(wc -l < found) -eq 2

redef PDNS::window = 0secs;
