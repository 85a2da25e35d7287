//! What `pdns COMMAND --help` teaches with: examples of each command, and what is not plain from its flags.

pub(super) const LOOKUP: &str = "\
Examples:
  pdns lookup www.example.com 192.0.2.7 '*.example.com'
  pdns lookup .example.com          the name and all below it
  pdns lookup 'hxxps://login[.]example[.]com/x, 10.0.0.0/8'
  pdns lookup 192.0.2.10-192.0.2.40 --rrtype A --sort count
  pdns lookup new                   a name that is also a command
  pdns lookup - --format csv < subjects.txt";

pub(super) const SHOW: &str = "\
Of each part the latest 25 rows are shown; the numbers are of up to 50000 rows that are read, and say so \
where there are more.

Examples:
  pdns show www.example.com
  pdns show 192.0.2.7
  pdns show '*.example.com' --format json";

pub(super) const TOP: &str = "\
Examples:
  pdns top --limit 50
  pdns top --by domains --last-after 24h
  pdns top --by addresses --rrtype AAAA
  pdns top --by names --tag none    of what nobody has judged";

pub(super) const NEW: &str = "\
Examples:
  pdns new --since 30d              a bar for each day
  pdns new --since 2026-01-01 --by domains
  pdns new --list yesterday         which names they were
  pdns new --list 2026-01-31 --by domains --format csv";

pub(super) const UNANSWERED: &str = "\
Examples:
  pdns unanswered                   questions that nobody answered
  pdns unanswered --outcome nxdomain --by domains
  pdns unanswered --outcome servfail --last-after 1h --rrtype MX";

pub(super) const NEAR: &str = "\
The distance is Euclidean: octets of an IPv4 address, or groups of 16 bits of an IPv6 address, are its coordinates. A \
prefix is as near as its nearest address.

Examples:
  pdns near 192.0.2.7
  pdns near 2001:db8::7 --limit 5 --format json";

pub(super) const CONTRAST: &str = "\
The score of a tie is 1 over the number of names that share it; what very many share is left out.

Examples:
  pdns contrast                     to all threats
  pdns contrast evil.example --tie nameserver
  pdns contrast 192.0.2.0/24 --limit 100 --format csv";

pub(super) const WATCH: &str = "\
Examples:
  pdns watch --ends .example        new names, as they are first seen
  pdns watch --contains login --records
  pdns watch --tag threat --format json";

pub(super) const STATUS: &str = "\
Examples:
  pdns status
  pdns status --verbose --format json";

pub(super) const TAG_SET: &str = "\
Examples:
  pdns tag set threat evil.example .bad.example 192.0.2.0/25 --note 'case 17'
  pdns tag set trust www.example.com --source 'our own'";

pub(super) const TAG_CLEAR: &str = "\
Examples:
  pdns tag clear threat evil.example --note 'was ours'
  pdns tag clear 192.0.2.7          whatever it is tagged as
  pdns tag clear --source feed      all tags that came from a feed";

pub(super) const TAG_LIST: &str = "\
Examples:
  pdns tag list threat
  pdns tag list --under 192.0.2.0/24
  pdns tag list --source abuse.example
  pdns tag list --format csv > tags.csv";

pub(super) const TAG_HISTORY: &str = "\
Examples:
  pdns tag history --limit 50
  pdns tag history evil.example";

pub(super) const TAG_IMPORT: &str = "\
Examples:
  pdns tag import list.txt --kind threat --source abuse.example
  pdns tag import tags.csv          with a head such as subject,kind,note
  pdns tag import feed.csv --column 2 --kind threat --dry-run
  pdns tag import list.txt --kind threat --source abuse.example --replace
  pdns tag import - --kind interest --below < domains.txt";
