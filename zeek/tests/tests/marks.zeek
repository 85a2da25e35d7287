# @TEST-DOC: Rows of dns.log that pdns.log tells of are marked, in JSON too; others are not.
# @TEST-EXEC: zeek -C -r $TRACES/answers.pcap $PACKAGE %INPUT LogAscii::use_json=T
# @TEST-EXEC: test $(grep -c '"pdns":true' dns.log) -eq $(grep -vc ':5353' dns.log)
# @TEST-EXEC: grep -q '"rrname":"cdn.example.net".*"rdata":\["192.0.2.7"\]' pdns.log
