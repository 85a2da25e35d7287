//! Values of `feeds.toml`. An invalid one is an error with its line.

use crate::indicator::Tlp;
use crate::intel_feeds::Protocol;
use crate::outgoing::ProxyChoice;
use crate::query::parse_age;
use crate::tag::TagKind;
use serde::{Deserialize, Deserializer, de};
use std::time::Duration;

/// A time such as `1d`, or `0`.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Time(pub(in crate::config) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let seconds = if text == "0" { Some(0) } else { parse_age(&text) };
        let time = seconds.filter(|seconds| u32::try_from(*seconds).is_ok());
        time.map(|seconds| Self(Duration::from_secs(seconds))).ok_or_else(|| {
            de::Error::custom(format!(
                "invalid time {text:?}: give 0, or a time such as 90s, 15m, 24h, 7d, 2w or 1y"
            ))
        })
    }
}

/// A size such as `256MB`, or a number of bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Size(pub(in crate::config) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        let wrong = |text: &str| {
            de::Error::custom(format!(
                "invalid size {text:?}: give a number of bytes, or a size such as 64MB or 1GB"
            ))
        };
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => {
                let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
                let unit = match text.get(number.len()..).unwrap_or_default() {
                    "" | "B" => 1,
                    "kB" | "KB" => 1 << 10,
                    "MB" => 1 << 20,
                    "GB" => 1 << 30,
                    _ => return Err(wrong(&text)),
                };
                let bytes =
                    number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
                bytes.map(Self).ok_or_else(|| wrong(&text))
            }
        }
    }
}

/// A proxy: `environment`, `none`, or its URL.
#[derive(Clone, Debug)]
pub(in crate::config) struct Proxy(pub(in crate::config) ProxyChoice);

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(match text.as_str() {
            "environment" => ProxyChoice::Environment,
            "none" | "" => ProxyChoice::Direct,
            _ => ProxyChoice::Url(text),
        }))
    }
}

/// A protocol by its name.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::config) struct Type(pub(super) Protocol);

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = Protocol::ALL.into_iter().find(|protocol| protocol.name() == text);
        known.map(Self).ok_or_else(|| {
            let names = Protocol::ALL.map(Protocol::name).join(", ");
            de::Error::custom(format!("unknown type {text:?}: use one of {names}"))
        })
    }
}

/// A kind by its name.
pub(super) fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TagKind, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

/// A TLP restriction by its name.
pub(super) fn tlp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Tlp>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}

/// A column: its name or number.
pub(super) fn column<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u32),
        Text(String),
    }
    Ok(Some(match Written::deserialize(deserializer)? {
        Written::Number(number) => number.to_string(),
        Written::Text(text) => text,
    }))
}
