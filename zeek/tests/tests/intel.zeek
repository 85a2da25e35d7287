# @TEST-DOC: A threat-tagged name or address raises a notice.
# @TEST-EXEC: zeek -C -r $TRACES/answers.pcap $PACKAGE $PACKAGE/intel.zeek %INPUT
# @TEST-EXEC: zeek-cut note sub < notice.log | sort > found
# @TEST-EXEC: sort expected | diff - found

redef Intel::read_files = { "threats.intel" };
# The file has to be read before the first packet.
redef exit_only_after_terminate = F;

event zeek_init()
	{
	suspend_processing();
	}

event Input::end_of_data(name: string, source: string)
	{
	continue_processing();
	}

@TEST-START-FILE threats.intel
#fields	indicator	indicator_type	meta.source	meta.desc	meta.url
192.0.2.7	Intel::ADDR	pdns	an address	-
none.example.com	Intel::DOMAIN	pdns	a name	-
www.example.com	Intel::DOMAIN	other	not of pdns	-
@TEST-END-FILE

@TEST-START-FILE expected
PDNS::Threat_Tagged	a name
PDNS::Threat_Tagged	an address
@TEST-END-FILE
