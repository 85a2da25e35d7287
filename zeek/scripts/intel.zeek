##! Raises a notice when a name or address is met that pdns has tagged as a threat.
##!
##! `pdns export --tag threat --format zeek-intel` keeps the file fresh; Zeek reads it again whenever it is
##! replaced. Not loaded by default: @load packages/pdns/intel

@load base/frameworks/intel
@load base/frameworks/notice
@load base/protocols/dns
@load frameworks/intel/seen/dns
@load frameworks/intel/seen/conn-established

# Where the export is expected. Elsewhere: redef Intel::read_files += { "/another/place" };
redef Intel::read_files += { "/var/lib/pdns-export/threats.intel" };

module PDNS;

export {
	redef enum Notice::Type += {
		## A name or address that pdns has tagged as a threat was asked for, answered or connected to.
		Threat_Tagged
	};

	## What `meta.source` is in the lines of the export.
	option intel_source = "pdns";

	## How long one host has no second notice about one threat.
	option suppress_for = 1hr;
}

# Addresses and aliases within answers: Zeek itself looks only at what is asked for.
event dns_A_reply(c: connection, msg: dns_msg, ans: dns_answer, a: addr)
	{
	Intel::seen(Intel::Seen($host=a, $conn=c, $where=DNS::IN_RESPONSE));
	}

event dns_AAAA_reply(c: connection, msg: dns_msg, ans: dns_answer, a: addr)
	{
	Intel::seen(Intel::Seen($host=a, $conn=c, $where=DNS::IN_RESPONSE));
	}

event dns_CNAME_reply(c: connection, msg: dns_msg, ans: dns_answer, name: string)
	{
	Intel::seen(Intel::Seen($indicator=name, $indicator_type=Intel::DOMAIN, $conn=c,
	                        $where=DNS::IN_RESPONSE));
	}

event Intel::match(s: Intel::Seen, items: set[Intel::Item])
	{
	for ( item in items )
		{
		if ( item$meta$source != intel_source )
			next;

		local note = Notice::Info($note=Threat_Tagged,
		                          $msg=fmt("%s is tagged as a threat in pdns (%s)", item$indicator, s$where),
		                          $sub=item$meta?$desc ? item$meta$desc : "",
		                          $identifier=item$indicator,
		                          $suppress_for=suppress_for);

		if ( s?$conn )
			{
			note$conn = s$conn;
			note$identifier = cat(s$conn$id$orig_h, " ", item$indicator);
			}

		NOTICE(note);
		}
	}
