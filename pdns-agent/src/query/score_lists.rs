//! Lists that scores rest on: parking, sinkholes, content networks, free hosting, top-level domains, popular names.

use crate::name::{Name, NameBuf, ancestors};
use crate::query::ParkedList;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// Maximum number of names of a top list that are kept.
const MAX_TOP: usize = 100_000;

/// Lists of networks, zones and suffixes.
#[derive(Clone, Debug)]
pub struct ScoreLists {
    /// Addresses and hosts of parked domains.
    pub parked: ParkedList,
    /// Addresses and name servers of sinkholes.
    pub sinkholes: ParkedList,
    /// Addresses and hosts of content networks.
    pub content_networks: ParkedList,
    /// Zones of free hosting.
    pub free_hosting: HashSet<NameBuf>,
    /// Top-level domains with much abuse.
    pub abused_tlds: HashSet<NameBuf>,
}

impl ScoreLists {
    /// The lists that come with the program.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a test reads the same text")]
    pub fn shipped() -> Self {
        let list = |text| ParkedList::parse(text).expect("the list that is shipped is valid");
        Self {
            parked: ParkedList::shipped(),
            sinkholes: list(include_str!("score_lists/sinkholes.txt")),
            content_networks: list(include_str!("score_lists/content_networks.txt")),
            free_hosting: names(include_str!("score_lists/free_hosting.txt")),
            abused_tlds: names(include_str!("score_lists/abused_tlds.txt")),
        }
    }

    /// The zone of free hosting that a name lies below.
    #[must_use]
    pub fn free_hosting<'n>(&self, name: Name<'n>) -> Option<&'n str> {
        let above = ancestors(name).skip(1).filter_map(|text| Name::from_canonical(text).ok());
        let mut zones = above.filter(|zone| self.free_hosting.contains(&zone.to_buf()));
        zones.next().map(Name::as_str)
    }

    /// Returns true if a name is that of a content network or lies below one, where programs choose the labels.
    #[must_use]
    pub fn is_content_network(&self, name: Name<'_>) -> bool {
        self.content_networks.has_host(name)
    }

    /// The lists of what serves many domains.
    fn of_many(&self) -> [&ParkedList; 3] {
        [&self.parked, &self.sinkholes, &self.content_networks]
    }

    /// Returns true for addresses of parking services, sinkholes and content networks.
    #[must_use]
    pub fn is_address_of_many(&self, address: IpAddr) -> bool {
        self.of_many().iter().any(|list| list.has_address(address))
    }

    /// Returns true for hosts of parking services, sinkholes, content networks and free hosting.
    #[must_use]
    pub fn is_host_of_many(&self, name: Name<'_>) -> bool {
        self.of_many().iter().any(|list| list.has_host(name)) || self.free_hosting(name).is_some()
    }

    /// The top-level domain of a name, if it has much abuse.
    #[must_use]
    pub fn abused_tld<'n>(&self, name: Name<'n>) -> Option<&'n str> {
        let top = name.suffix(1);
        self.abused_tlds.contains(&top.to_buf()).then(|| top.as_str())
    }
}

/// The names of a list, one a line; `#` begins a comment.
fn names(text: &str) -> HashSet<NameBuf> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| NameBuf::parse(line.trim()).ok()).collect()
}

/// Returns true if text in a list of hosts can be one. A DNS name may have any character; a line of such a list that has
/// others is something else.
pub(crate) fn is_host_text(text: &str) -> bool {
    text.bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || !octet.is_ascii() || b"-_.".contains(&octet))
}

/// Popular names with their ranks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopList {
    ranks: HashMap<NameBuf, u32>,
}

/// Reason why text is not a valid list of popular names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0}: give a name, or a rank, a comma and a name")]
pub struct TopListError(pub usize);

impl TopList {
    /// Parses a list, the most popular name first: a name a line, or `RANK,NAME`. Names after the first 100,000 are
    /// ignored.
    ///
    /// # Errors
    /// [`TopListError`] for the first invalid line.
    pub fn parse(text: &str) -> Result<Self, TopListError> {
        let mut list = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if list.ranks.len() >= MAX_TOP {
                break;
            }
            let name = line.rsplit([',', '\t']).next().unwrap_or_default().trim();
            let name = Some(name).filter(|name| is_host_text(name));
            let name =
                name.and_then(|name| NameBuf::parse(name).ok()).ok_or(TopListError(number))?;
            let rank = u32::try_from(list.ranks.len() + 1).unwrap_or(u32::MAX);
            list.ranks.entry(name).or_insert(rank);
        }
        Ok(list)
    }

    /// The names, the most popular first.
    #[must_use]
    pub fn names(&self) -> Vec<&NameBuf> {
        let mut names: Vec<(&NameBuf, u32)> =
            self.ranks.iter().map(|(name, rank)| (name, *rank)).collect();
        names.sort_unstable_by_key(|(_, rank)| *rank);
        names.into_iter().map(|(name, _)| name).collect()
    }

    /// The rank of a domain, from 1.
    #[must_use]
    pub fn rank(&self, domain: Name<'_>) -> Option<u32> {
        self.ranks.get(&domain.to_buf()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    #[test]
    fn the_shipped_lists_are_valid() {
        let lists = ScoreLists::shipped();
        assert!(lists.free_hosting.len() > 200 && lists.abused_tlds.len() == 16);
        let has = |address: &str| lists.sinkholes.has_address(address.parse().unwrap());
        assert!(has("195.22.26.192") && has("148.81.111.9") && !has("192.0.2.1"));
        assert!(lists.sinkholes.has_host(name("ns1.sinkdns.org").as_name()));
        assert!(lists.content_networks.has_address("104.16.1.1".parse().unwrap()));
        let site = name("x.000webhostapp.com");
        assert_eq!(lists.free_hosting(site.as_name()), Some("000webhostapp.com"));
        assert_eq!(lists.free_hosting(name("000webhostapp.com").as_name()), None);
        assert_eq!(lists.abused_tld(name("a.b.top").as_name()), Some("top"));
        assert_eq!(lists.abused_tld(name("a.b.com").as_name()), None);
    }

    #[test]
    fn a_top_list_has_ranks() {
        let list = TopList::parse("# ours\n1,Example.com\n2,example.org\n\nexample.net\n").unwrap();
        let rank = |text| list.rank(name(text).as_name());
        assert_eq!(
            [rank("example.com"), rank("example.net"), rank("a.example")],
            [Some(1), Some(3), None]
        );
        let names: Vec<String> = list.names().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["example.com", "example.org", "example.net"]);
        assert_eq!(TopList::parse("a.example\n1,a..b\n"), Err(TopListError(2)));
        assert_eq!(TopList::parse("a.example\n!! nonsense ??\n"), Err(TopListError(2)));
    }
}
