//! Query parameters. Unknown ones are ignored, as are `swclient`, `version` and `id`.

use crate::serve::http_error::HttpError;
use crate::serve::part::parameters;
use axum::http::StatusCode;

/// Default limit of results.
const LIMIT: usize = 10_000;

/// Maximum limit and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) results: usize,
    pub(super) offset: usize,
}

/// Times between which a result was seen, in seconds since the epoch; both ends are included, as in `dnsdbq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fences {
    first_before: Option<i64>,
    first_after: Option<i64>,
    last_before: Option<i64>,
    last_after: Option<i64>,
}

impl Fences {
    pub(super) fn admit(&self, time_first: u32, time_last: u32) -> bool {
        let (first, last) = (i64::from(time_first), i64::from(time_last));
        self.first_before.is_none_or(|at| first <= at)
            && self.first_after.is_none_or(|at| first >= at)
            && self.last_before.is_none_or(|at| last <= at)
            && self.last_after.is_none_or(|at| last >= at)
    }
}

/// Parsed query parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) limit: usize,
    pub(super) offset: usize,
    pub(super) fences: Fences,
    /// Write times as text.
    pub(super) human: bool,
    /// A summary ends when its count reaches this.
    pub(super) max_count: Option<u64>,
    /// Pattern of results to exclude.
    pub(super) exclude: Option<String>,
    /// Flex results include counts and times.
    pub(super) verbose: bool,
    /// Results include keys that DNSDB does not have: `pdns_partial` and `pdns_count_is_lower_bound`.
    pub(super) own_keys: bool,
}

impl Parameters {
    /// Parses the parameters; a negative time is a number of seconds before `now`.
    pub(super) fn parse(query: Option<&str>, bounds: Bounds, now: u32) -> Result<Self, HttpError> {
        let mut read = Self {
            limit: LIMIT.min(bounds.results),
            offset: 0,
            fences: Fences::default(),
            human: false,
            max_count: None,
            exclude: None,
            verbose: true,
            own_keys: false,
        };
        for (name, value) in parameters(query)? {
            let wrong =
                |what| HttpError::bad(format!("the parameter {name} is {what}, not {value:?}"));
            let number = || value.parse::<u64>().map_err(|_| wrong("a number"));
            let flag = || match value.to_ascii_lowercase().as_str() {
                "t" | "true" | "1" => Ok(true),
                "f" | "false" | "0" => Ok(false),
                _ => Err(wrong("t or f")),
            };
            let time = || match value.parse::<i64>() {
                Ok(at) if at < 0 => Ok(Some(i64::from(now).saturating_add(at))),
                Ok(at) => Ok(Some(at)),
                Err(_) => Err(wrong("a time in seconds since 1970, or below 0 before now")),
            };
            match name.as_str() {
                "limit" => {
                    let limit = usize::try_from(number()?).unwrap_or(usize::MAX);
                    read.limit =
                        if limit == 0 { bounds.results } else { limit.min(bounds.results) };
                }
                "offset" => {
                    let offset = usize::try_from(number()?).unwrap_or(usize::MAX);
                    if offset > bounds.offset {
                        let line = format!("the offset is at most {}", bounds.offset);
                        return Err(HttpError::new(StatusCode::RANGE_NOT_SATISFIABLE, line));
                    }
                    read.offset = offset;
                }
                "time_first_before" => read.fences.first_before = time()?,
                "time_first_after" => read.fences.first_after = time()?,
                "time_last_before" => read.fences.last_before = time()?,
                "time_last_after" => read.fences.last_after = time()?,
                "humantime" => read.human = flag()?,
                "verbose" => read.verbose = flag()?,
                "pdns_keys" => read.own_keys = flag()?,
                "aggr" => drop(flag()?),
                "max_count" => read.max_count = Some(number()?).filter(|&count| count > 0),
                "exclude" => read.exclude = Some(value).filter(|value| !value.is_empty()),
                _ => {}
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { results: 20_000, offset: 1_000 };

    fn read(query: &str) -> Result<Parameters, HttpError> {
        Parameters::parse(Some(query), BOUNDS, 1_000_000)
    }

    #[test]
    fn limits_are_capped_and_offsets_refused() {
        assert_eq!(read("").unwrap().limit, 10_000);
        assert_eq!(read("limit=5&offset=7").map(|read| (read.limit, read.offset)), Ok((5, 7)));
        assert_eq!(read("limit=0").unwrap().limit, 20_000);
        assert_eq!(read("limit=99999999999999999999").unwrap_err().status, 400);
        assert_eq!(read("limit=30000").unwrap().limit, 20_000);
        assert_eq!(read("offset=1001").unwrap_err().status, 416);
        for query in
            ["limit=-1", "limit=x", "offset=", "aggr=maybe", "max_count=x", "time_last_after=now"]
        {
            assert_eq!(read(query).unwrap_err().status, 400, "{query}");
        }
        assert!(read("swclient=dnsdbq&version=2.6.4&id=a:b&nonsense=1&aggr=f").is_ok());
    }

    #[test]
    fn fences_hold_both_ends_and_may_be_relative() {
        let admits = |query: &str, first, last| read(query).unwrap().fences.admit(first, last);
        assert!(admits("", 1, 2));
        assert!(admits("time_first_after=10", 10, 20) && !admits("time_first_after=11", 10, 20));
        assert!(admits("time_first_before=10", 10, 20) && !admits("time_first_before=9", 10, 20));
        assert!(admits("time_last_after=20", 10, 20) && !admits("time_last_after=21", 10, 20));
        assert!(admits("time_last_before=20", 10, 20) && !admits("time_last_before=19", 10, 20));
        assert!(
            admits("time_last_after=-60", 0, 999_940) && !admits("time_last_after=-60", 0, 999_939)
        );
        assert!(!admits("time_last_after=20&time_first_before=5", 10, 20));
    }

    #[test]
    fn flags_are_read_as_clients_write_them() {
        let read = read("humantime=True&verbose=f&exclude=a%2Bb&max_count=0&pdns_keys=1").unwrap();
        assert_eq!((read.human, read.verbose, read.max_count), (true, false, None));
        assert!(read.own_keys);
        assert_eq!(read.exclude.as_deref(), Some("a+b"));
    }
}
