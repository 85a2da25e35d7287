##! Writes pdns.log: each DNS record with its owner name, type, class, TTL and RDATA, of which dns.log has only
##! a summary; and each question that brought no record. Outside of a cluster, equal ones are gathered for a while
##! and written as one line, so that the log is small. `pdns-agent zeek` reads it.
##!
##! A row of dns.log that pdns.log tells of as well is marked in a column `pdns`, so that whoever reads both
##! logs counts nothing twice.

@load base/frameworks/cluster
@load base/misc/version
@load base/protocols/dns

# Name servers and glue are in these sections, and only the authority section tells "no such record" from
# "ask that server". Zeek passes them over unless it is asked.
redef dns_skip_all_auth = F;
redef dns_skip_all_addl = F;

module PDNS;

export {
	redef enum Log::ID += { LOG };

	## Decides which lines are written; see the logging framework.
	global log_policy: Log::PolicyHook;

	## How long equal records are gathered before they are written as one line; 0secs writes each at once.
	## Zeek loses what it has gathered if it is killed, and a worker if it ends after its logger. So the
	## default in a cluster is 0secs.
	const window = 1min &redef;

	## How many unlike records are gathered at most. Those that find no room are written as they come.
	option max_gathered = 100000;

	## Server ports whose messages are left out: names in NetBIOS, mDNS and LLMNR hold on one link only.
	option ports_left_out: set[port] = { 137/udp, 5353/udp, 5355/udp };

	## A record, or a question that brought none, as often as it was seen within the window.
	##
	## Names and character-strings are written in letters, digits and ._*/:;=+~@- and blanks; each other
	## octet is %hh, nothing at all is %, and the root is a dot. So no log writer has to escape anything.
	type Info: record {
		## When it was seen first.
		ts: time &log;
		## When it was seen last.
		last: time &log;
		## In how many responses it was.
		seen: count &log &default=1;
		## The owner name of the record, or the name asked for.
		rrname: string &log;
		## The class, 1 for internet.
		rrclass: count &log;
		## The type of the record, or the type asked for.
		rrtype: count &log;
		## The type's name.
		rrtype_name: string &log;
		## The section it was in: answer, authority or additional.
		section: string &log &optional;
		## The fields of the RDATA in the order of a master file, those that are no text and no name in
		## hexadecimal digits. Unset for types that Zeek does not take apart. Of SVCB and HTTPS records
		## only priority and target.
		rdata: vector of string &log &optional;
		## The TTL when it was seen last.
		ttl: interval &log &optional;
		## The smallest TTL.
		ttl_min: interval &log &optional;
		## The largest TTL.
		ttl_max: interval &log &optional;
		## What the question came to, if to no record: NODATA, an error such as NXDOMAIN, or UNANSWERED.
		outcome: string &log &optional;
		## Whether a question for it was seen; a forged response may have none.
		asked: bool &log;
		## The zone that the response showed itself to be about. Set for records that are neither of the
		## answer nor at the apex of that zone: they can be believed if they lie within it.
		zone: string &log &optional;
		## As *zone*, if the response showed none: the name that was asked for, at the end of its aliases. Also
		## set if the server is no resolver to its client, which speaks for the domain of the name asked for
		## alone: then, for what follows an alias in its answer, it is that name.
		qname: string &log &optional;
	};

	## Raised for each line, before it is written.
	global log_pdns: event(rec: Info);
}

# A cluster may end its logger before its workers. What they gathered would be lost then, while the rows of
# dns.log that it belongs to were written and marked long ago.
@if ( Cluster::is_enabled() )
redef PDNS::window = 0secs;
@endif

redef record DNS::Info += {
	## Whether pdns.log has what this row tells, so that it must not be counted again.
	pdns: bool &log &optional;
};

# Types and numbers that the rules ask for (IANA "Resource Record (RR) TYPEs").
const NS = 2;
const CNAME = 5;
const SOA = 6;
const transfers: set[count] = { 251, 252 };
const whole_names: set[count] = { 251, 252, 253, 254, 255 };
const protocol_types: set[count] = { 249, 250 };

# Longest chain of aliases that is followed.
const max_chain = 64;

# RCODEs with a name in pdns.
const outcomes: table[count] of string = {
	[1] = "FORMERR", [2] = "SERVFAIL", [3] = "NXDOMAIN", [4] = "NOTIMP", [5] = "REFUSED"
};

# Octets that are written in another way.
const odd_octets = /[^A-Za-z0-9._*\/:;=+~@ -]/;

# A response while its events come.
type Response: record {
	# The question.
	qname: string;
	qtype: count;
	qclass: count;
	# The records so far.
	records: vector of Info &default=vector();
	# The answer section's CNAME records, owner to target.
	aliases: table[string] of string &default=table();
	# How many records of these sections events told of.
	answers: count &default=0;
	authorities: count &default=0;
	# Whether there was an answer of the type asked for that is not logged.
	has_unlogged: bool &default=F;
	# The upper bits of the RCODE (RFC 6891).
	extended: count &default=0;
};

redef record connection += {
	pdns: Response &optional;
};

function write_expired(expired: table[string] of Info, key: string): interval
	{
	Log::write(PDNS::LOG, expired[key]);
	return 0secs;
	}

# What is gathered, by all that tells one line from another.
global gathered: table[string] of Info &create_expire=window &expire_func=write_expired;

event zeek_init() &priority=5
	{
	Log::create_stream(PDNS::LOG, [$columns=Info, $ev=log_pdns, $path="pdns", $policy=log_policy]);
	}

event zeek_done()
	{
	for ( key, info in gathered )
		Log::write(PDNS::LOG, info);

	clear_table(gathered);
	}

# --- text -----------------------------------------------------------------------------------------

function text(octets: string): string
	{
	if ( octets == "" )
		return "%";

	# Alone, it stands for "unset" in a log.
	if ( octets == "-" )
		return "%2d";

	if ( odd_octets !in octets )
		return octets;

	local out = "";

	for ( octet in octets )
		{
		if ( odd_octets in octet )
			out += "%" + bytestring_to_hexstr(octet);
		else
			out += octet;
		}

	return out;
	}

function domain(name: string): string
	{
	return name == "" ? "." : text(name);
	}

function hex(octets: string): string
	{
	return text(bytestring_to_hexstr(octets));
	}

function seconds(time_span: interval): string
	{
	return fmt("%.0f", interval_to_double(time_span));
	}

# Whether a name is a zone's apex or lies below it.
function is_within(name: string, zone: string): bool
	{
	return zone == "." || name == zone || ends_with(name, "." + zone);
	}

# --- gathering ------------------------------------------------------------------------------------

# What tells a record from others of the same response. No part has a comma in it.
function record_key(info: Info): string
	{
	return string_cat(info$rrname, cat(",", info$rrclass, ",", info$rrtype, ","),
	                  info?$outcome ? info$outcome : "", ",",
	                  info?$rdata ? join_string_vec(info$rdata, ",") : "");
	}

# Takes a record or an outcome, and its key: adds it to the equal ones of the window, or writes it at once.
function gather(info: Info, own_key: string)
	{
	if ( window <= 0secs )
		{
		Log::write(PDNS::LOG, info);
		return;
		}

	local key = string_cat(info$asked ? "T," : "F,", info?$section ? info$section : "", ",",
	                       info?$zone ? info$zone : "", ",", info?$qname ? info$qname : "", ",", own_key);

	if ( key !in gathered )
		{
		if ( |gathered| >= max_gathered )
			Log::write(PDNS::LOG, info);
		else
			gathered[key] = info;

		return;
		}

	local known = gathered[key];
	known$seen += 1;

	if ( info$ts < known$ts )
		known$ts = info$ts;

	if ( info$ts >= known$last )
		{
		known$last = info$ts;

		if ( info?$ttl )
			known$ttl = info$ttl;
		}

	if ( info?$ttl )
		{
		if ( info$ttl < known$ttl_min )
			known$ttl_min = info$ttl;

		if ( info$ttl > known$ttl_max )
			known$ttl_max = info$ttl;
		}
	}

function gather_outcome(ts: time, name: string, qtype: count, qclass: count, outcome: string, asked: bool,
                        bound: string)
	{
	local info = Info($ts=ts, $last=ts, $rrname=name, $rrclass=qclass, $rrtype=qtype,
	                  $rrtype_name=DNS::query_types[qtype], $outcome=outcome, $asked=asked);

	if ( bound != "" )
		info$qname = bound;

	gather(info, record_key(info));
	}

# --- one response ---------------------------------------------------------------------------------

function is_left_out(c: connection, msg: dns_msg): bool
	{
	return msg$opcode != 0 || msg$num_queries > 1 || c$id$resp_p in ports_left_out;
	}

function begin(c: connection, qname: string, qtype: count, qclass: count)
	{
	c$pdns = Response($qname=domain(qname), $qtype=qtype, $qclass=qclass);
	}

# After the base script has found or made the row of dns.log.
event dns_message(c: connection, is_orig: bool, msg: dns_msg, len: count) &priority=4
	{
	delete c$pdns;

	if ( is_left_out(c, msg) || ! c?$dns )
		return;

	c$dns$pdns = T;

	# A response need not repeat the question.
	if ( msg$QR && msg$num_queries == 0 && c$dns?$query && c$dns?$qtype && c$dns?$qclass )
		begin(c, c$dns$query, c$dns$qtype, c$dns$qclass);
	}

event dns_query_reply(c: connection, msg: dns_msg, query: string, qtype: count, qclass: count)
	{
	if ( ! is_left_out(c, msg) )
		begin(c, query, qtype, qclass);
	}

event dns_rejected(c: connection, msg: dns_msg, query: string, qtype: count, qclass: count)
	{
	if ( ! is_left_out(c, msg) )
		begin(c, query, qtype, qclass);
	}

function note_section(response: Response, ans: dns_answer)
	{
	if ( ans$answer_type == DNS_ANS )
		response$answers += 1;
	else if ( ans$answer_type == DNS_AUTH )
		response$authorities += 1;
	}

# Takes note of a record that is not logged.
function pass_over(c: connection, ans: dns_answer)
	{
	if ( ! c?$pdns )
		return;

	note_section(c$pdns, ans);

	if ( ans$answer_type == DNS_ANS && ans$qtype == c$pdns$qtype )
		c$pdns$has_unlogged = T;
	}

function take(c: connection, ans: dns_answer, rdata: string_vec)
	{
	if ( ! c?$pdns )
		return;

	local response = c$pdns;
	note_section(response, ans);
	local info = Info($ts=network_time(), $last=network_time(), $rrname=domain(ans$query),
	                  $rrclass=ans$qclass, $rrtype=ans$qtype, $rrtype_name=DNS::query_types[ans$qtype],
	                  $ttl=ans$TTL, $ttl_min=ans$TTL, $ttl_max=ans$TTL, $asked=F);

	if ( ans$answer_type == DNS_ANS )
		info$section = "answer";
	else if ( ans$answer_type == DNS_AUTH )
		info$section = "authority";
	else
		info$section = "additional";

	if ( |rdata| > 0 )
		info$rdata = rdata;

	if ( ans$answer_type == DNS_ANS && ans$qtype == CNAME && info$rrname !in response$aliases )
		response$aliases[info$rrname] = rdata[0];

	response$records += info;
	}

function is_apex(info: Info): bool
	{
	return info$section == "authority" && ( info$rrtype == NS || info$rrtype == SOA );
	}

# Whether a name is at or above one of the names in a chain.
function is_above(name: string, chain: set[string]): bool
	{
	for ( link in chain )
		{
		if ( is_within(link, name) )
			return T;
		}

	return F;
	}

# The name at the end of the aliases of the one asked for; the names on the way go to the chain.
function follow(response: Response, chain: set[string]): string
	{
	local name = response$qname;
	add chain[name];

	while ( name in response$aliases && |chain| < max_chain )
		{
		local target = response$aliases[name];

		if ( target in chain )
			break;

		add chain[target];
		name = target;
		}

	return name;
	}

# Whether a record is of the type and the owner asked for.
function is_answer(info: Info, response: Response, name: string): bool
	{
	if ( info$section != "answer" )
		return F;

	if ( response$qtype in whole_names )
		return T;

	if ( info$rrtype != response$qtype )
		return F;

	return info$rrname == name || ( info$rrtype == CNAME && info$rrname == response$qname );
	}

# What the question came to, if to no record; "" if there was one, or if that cannot be told.
function outcome_of(msg: dns_msg, response: Response, name: string, chain: set[string]): string
	{
	local rcode = response$extended * 16 + msg$rcode;

	if ( rcode != 0 )
		return rcode in outcomes ? outcomes[rcode] : fmt("RCODE%d", rcode);

	if ( response$has_unlogged || response$qtype in protocol_types )
		return "";

	local has_soa = F;
	local has_ns = F;

	for ( i in response$records )
		{
		local info = response$records[i];

		if ( is_answer(info, response, name) )
			return "";

		if ( is_apex(info) )
			{
			has_soa = has_soa || ( info$rrtype == SOA && is_within(name, info$rrname) );
			has_ns = has_ns || ( info$rrtype == NS && is_above(info$rrname, chain) );
			}
		}

	# An answer may have been cut off, or be one that no event tells of.
	if ( msg$TC || response$answers != msg$num_answers )
		return "";

	if ( has_soa )
		return "NODATA";

	# An alias alone, or a referral to the servers of a zone below (RFC 2308 section 2.2).
	if ( msg$num_answers > 0 || response$authorities != msg$num_auth || ( has_ns && ! msg$AA ) )
		return "";

	return "NODATA";
	}

# Between the base script's taking note of the end and its writing of the row.
event dns_end(c: connection, msg: dns_msg)
	{
	if ( ! c?$pdns )
		return;

	local response = c$pdns;
	delete c$pdns;
	local asked = c?$dns && c$dns$saw_query;
	local chain: set[string] = set();
	local name = follow(response, chain);
	local zone = "";

	# A resolver that was asked to recurse speaks for all of the chain, any other server for the domain of the name
	# asked for. What the query wanted is what counts, since a server may set any bit. Where that domain begins
	# only who reads the log can tell.
	local wants_recursion = asked ? c$dns$RD : msg$RD;
	local bound = wants_recursion && msg$RA ? "" : response$qname;
	local speaks_for = bound == "" ? chain : set(response$qname);

	for ( i in response$records )
		{
		if ( zone == "" && is_apex(response$records[i]) && is_above(response$records[i]$rrname, speaks_for) )
			zone = response$records[i]$rrname;
		}

	# Of records that are alike within one response one counts (RFC 2181 section 5).
	local had: set[string] = set();

	for ( i in response$records )
		{
		local info = response$records[i];
		info$asked = asked;

		if ( info$section == "answer" )
			{
			if ( info$rrname !in chain
			     && ! ( response$qtype in transfers && is_within(info$rrname, response$qname) ) )
				next;

			if ( bound != "" && info$rrname != response$qname )
				info$qname = bound;
			}
		else if ( is_apex(info) )
			{
			if ( ! is_above(info$rrname, speaks_for) )
				next;
			}
		else if ( zone != "" )
			{
			if ( ! is_within(info$rrname, zone) )
				next;

			info$zone = zone;
			}
		else
			info$qname = bound == "" ? name : bound;

		local key = record_key(info);

		if ( key !in had )
			{
			add had[key];
			gather(info, key);
			}
		}

	local outcome = outcome_of(msg, response, name, chain);

	if ( outcome != "" )
		gather_outcome(network_time(), name, response$qtype, response$qclass, outcome, asked,
		               name == response$qname ? "" : bound);
	}

# A question whose row was written without a response.
event DNS::log_dns(rec: DNS::Info)
	{
	if ( rec?$pdns && ! rec?$rcode && rec?$query && rec?$qtype && rec?$qclass )
		gather_outcome(rec$ts, domain(rec$query), rec$qtype, rec$qclass, "UNANSWERED", T, "");
	}

# --- one event for each type ----------------------------------------------------------------------

event dns_A_reply(c: connection, msg: dns_msg, ans: dns_answer, a: addr)
	{
	take(c, ans, vector(cat(a)));
	}

event dns_AAAA_reply(c: connection, msg: dns_msg, ans: dns_answer, a: addr)
	{
	take(c, ans, vector(cat(a)));
	}

event dns_NS_reply(c: connection, msg: dns_msg, ans: dns_answer, name: string)
	{
	take(c, ans, vector(domain(name)));
	}

event dns_CNAME_reply(c: connection, msg: dns_msg, ans: dns_answer, name: string)
	{
	take(c, ans, vector(domain(name)));
	}

event dns_PTR_reply(c: connection, msg: dns_msg, ans: dns_answer, name: string)
	{
	take(c, ans, vector(domain(name)));
	}

event dns_MX_reply(c: connection, msg: dns_msg, ans: dns_answer, name: string, preference: count)
	{
	take(c, ans, vector(cat(preference), domain(name)));
	}

event dns_SRV_reply(c: connection, msg: dns_msg, ans: dns_answer, target: string, priority: count,
                    weight: count, p: count)
	{
	take(c, ans, vector(cat(priority), cat(weight), cat(p), domain(target)));
	}

event dns_SOA_reply(c: connection, msg: dns_msg, ans: dns_answer, soa: dns_soa)
	{
	take(c, ans, vector(domain(soa$mname), domain(soa$rname), cat(soa$serial), seconds(soa$refresh),
	                    seconds(soa$retry), seconds(soa$expire), seconds(soa$minimum)));
	}

function texts(strings: string_vec): string_vec
	{
	local out: string_vec = vector();

	for ( i in strings )
		out += text(strings[i]);

	return out;
	}

event dns_TXT_reply(c: connection, msg: dns_msg, ans: dns_answer, strs: string_vec)
	{
	take(c, ans, texts(strs));
	}

event dns_SPF_reply(c: connection, msg: dns_msg, ans: dns_answer, strs: string_vec)
	{
	take(c, ans, texts(strs));
	}

event dns_CAA_reply(c: connection, msg: dns_msg, ans: dns_answer, flags: count, tag: string, value: string)
	{
	take(c, ans, vector(cat(flags), text(tag), text(value)));
	}

@if ( Version::number >= 80000 )
event dns_NAPTR_reply(c: connection, msg: dns_msg, ans: dns_answer, naptr: dns_naptr_rr)
	{
	take(c, ans, vector(cat(naptr$order), cat(naptr$preference), text(naptr$flags), text(naptr$service),
	                    text(naptr$regexp), domain(naptr$replacement)));
	}
@endif

event dns_SVCB(c: connection, msg: dns_msg, ans: dns_answer, svcb: dns_svcb_rr)
	{
	take(c, ans, vector(cat(svcb$svc_priority), domain(svcb$target_name)));
	}

event dns_HTTPS(c: connection, msg: dns_msg, ans: dns_answer, https: dns_svcb_rr)
	{
	take(c, ans, vector(cat(https$svc_priority), domain(https$target_name)));
	}

event dns_DS(c: connection, msg: dns_msg, ans: dns_answer, ds: dns_ds_rr)
	{
	take(c, ans, vector(cat(ds$key_tag), cat(ds$algorithm), cat(ds$digest_type), hex(ds$digest_val)));
	}

event dns_DNSKEY(c: connection, msg: dns_msg, ans: dns_answer, dnskey: dns_dnskey_rr)
	{
	take(c, ans, vector(cat(dnskey$flags), cat(dnskey$protocol), cat(dnskey$algorithm),
	                    hex(dnskey$public_key)));
	}

event dns_SSHFP(c: connection, msg: dns_msg, ans: dns_answer, algo: count, fptype: count,
                fingerprint: string)
	{
	take(c, ans, vector(cat(algo), cat(fptype), hex(fingerprint)));
	}

event dns_LOC(c: connection, msg: dns_msg, ans: dns_answer, loc: dns_loc_rr)
	{
	take(c, ans, vector(cat(loc$version), cat(loc$size), cat(loc$horiz_pre), cat(loc$vert_pre),
	                    cat(loc$latitude), cat(loc$longitude), cat(loc$altitude)));
	}

# TLSA, DNAME and others: that there was one is all that Zeek tells.
event dns_unknown_reply(c: connection, msg: dns_msg, ans: dns_answer)
	{
	local nothing: string_vec = vector();
	take(c, ans, nothing);
	}

# Signatures and proofs of DNSSEC change with each signing and would be most of the log.
event dns_RRSIG(c: connection, msg: dns_msg, ans: dns_answer, rrsig: dns_rrsig_rr)
	{
	pass_over(c, ans);
	}

event dns_NSEC(c: connection, msg: dns_msg, ans: dns_answer, next_name: string, bitmaps: string_vec)
	{
	pass_over(c, ans);
	}

event dns_NSEC3(c: connection, msg: dns_msg, ans: dns_answer, nsec3: dns_nsec3_rr)
	{
	pass_over(c, ans);
	}

event dns_EDNS_addl(c: connection, msg: dns_msg, ans: dns_edns_additional)
	{
	# The TTL's first octet (RFC 6891 section 6.1.3); of two such records the first counts.
	if ( c?$pdns && c$pdns$extended == 0 )
		c$pdns$extended = double_to_count(floor(interval_to_double(ans$TTL) / 16777216.0));
	}
