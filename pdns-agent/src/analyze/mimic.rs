//! Names that imitate protected names: which one a name imitates ([`MimicIndex`]), which lines of a long list may imitate
//! one ([`Screen`]), and which names would imitate one ([`squats`]).
//!
//! The kinds are those of dnstwist, and four that it has not: several words around a name, a name as a label of another
//! domain, homophones, and Unicode letters that look like ASCII ones.

mod find;
mod glyph;
mod index;
mod screen;
mod squat;
mod tables;
mod words;

pub use index::{MAX_PROTECTED, MimicIndex};
pub use screen::Screen;
pub use squat::{MAX_SQUATS, NoSquats, PossibleSquats, Squat, imitable, squats};

use crate::name::NameBuf;
use std::fmt;

/// A way in which one name imitates another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MimicKind {
    /// A character is appended.
    Addition,
    /// A bit of a character is flipped.
    Bitsquatting,
    /// Words before or behind the name, joined by hyphens.
    Combosquat,
    /// All letters are Cyrillic ones that look the same.
    Cyrillic,
    /// A common word before or behind the name.
    Dictionary,
    /// Characters that look alike.
    Homoglyph,
    /// Hyphens are added or left out.
    Hyphenation,
    /// A character is inserted.
    Insertion,
    /// The name is a label, or several, of another domain.
    Levelsquat,
    /// A character is left out.
    Omission,
    /// A plural.
    Plural,
    /// A character is doubled.
    Repetition,
    /// A character is replaced.
    Replacement,
    /// It sounds the same.
    Soundsquat,
    /// A dot within the name.
    Subdomain,
    /// The same label below another suffix.
    TldSwap,
    /// Two neighbouring characters change places.
    Transposition,
    /// Two characters differ.
    TwoEdits,
    /// The suffix as a part of the label, or www before it.
    Various,
    /// A vowel is replaced by another.
    VowelSwap,
}

impl MimicKind {
    /// The word in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Bitsquatting => "bitsquatting",
            Self::Combosquat => "combosquat",
            Self::Cyrillic => "cyrillic",
            Self::Dictionary => "dictionary",
            Self::Homoglyph => "homoglyph",
            Self::Hyphenation => "hyphenation",
            Self::Insertion => "insertion",
            Self::Levelsquat => "levelsquat",
            Self::Omission => "omission",
            Self::Plural => "plural",
            Self::Repetition => "repetition",
            Self::Replacement => "replacement",
            Self::Soundsquat => "soundsquat",
            Self::Subdomain => "subdomain",
            Self::TldSwap => "tld-swap",
            Self::Transposition => "transposition",
            Self::TwoEdits => "two-edits",
            Self::Various => "various",
            Self::VowelSwap => "vowel-swap",
        }
    }

    /// The reason why [`squats`] lists no names of this kind.
    #[must_use]
    pub fn unlisted(self) -> Option<&'static str> {
        match self {
            Self::Levelsquat => Some("the other domain may be any"),
            Self::TwoEdits => Some("there are too many"),
            _ => None,
        }
    }

    /// True if the likeness of such names may reach [`MIMIC_LIMIT`].
    #[must_use]
    pub fn may_be_worth_a_look(self) -> bool {
        !matches!(self, Self::Soundsquat | Self::TwoEdits)
    }
}

/// All kinds.
pub const KINDS: &[MimicKind] = &[
    MimicKind::Addition,
    MimicKind::Bitsquatting,
    MimicKind::Combosquat,
    MimicKind::Cyrillic,
    MimicKind::Dictionary,
    MimicKind::Homoglyph,
    MimicKind::Hyphenation,
    MimicKind::Insertion,
    MimicKind::Levelsquat,
    MimicKind::Omission,
    MimicKind::Plural,
    MimicKind::Repetition,
    MimicKind::Replacement,
    MimicKind::Soundsquat,
    MimicKind::Subdomain,
    MimicKind::TldSwap,
    MimicKind::Transposition,
    MimicKind::TwoEdits,
    MimicKind::Various,
    MimicKind::VowelSwap,
];

impl fmt::Display for MimicKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A protected name that a name imitates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mimic<'i> {
    /// The protected name.
    pub target: &'i str,
    /// The way.
    pub kind: MimicKind,
    /// Strength of the likeness, from 0 to 100; not a probability.
    pub score: u8,
}

/// Names that are protected unless others are given, the most important first.
#[must_use]
pub fn brands() -> Vec<NameBuf> {
    let lines = include_str!("mimic/brands.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| NameBuf::parse(line).ok()).collect()
}

/// Scores from here on are worth a look.
pub const MIMIC_LIMIT: u8 = 80;

/// Words that phishing puts around a name (the common part of dnstwist's dictionaries and of combosquatting studies:
/// Kintis et al., Hiding in Plain Sight, 2017).
pub(crate) const KEYWORDS: &[&str] = &[
    "access",
    "account",
    "accounts",
    "admin",
    "alert",
    "api",
    "app",
    "apps",
    "auth",
    "bank",
    "billing",
    "bonus",
    "buy",
    "card",
    "care",
    "cdn",
    "center",
    "chat",
    "claim",
    "client",
    "cloud",
    "confirm",
    "connect",
    "contact",
    "customer",
    "deals",
    "dev",
    "direct",
    "discount",
    "download",
    "email",
    "event",
    "forum",
    "free",
    "gift",
    "group",
    "help",
    "helpdesk",
    "home",
    "hotline",
    "id",
    "info",
    "invoice",
    "jobs",
    "login",
    "logon",
    "mail",
    "manage",
    "members",
    "mobile",
    "my",
    "net",
    "new",
    "news",
    "notice",
    "now",
    "office",
    "official",
    "online",
    "order",
    "pass",
    "password",
    "pay",
    "payment",
    "payments",
    "portal",
    "prize",
    "promo",
    "recover",
    "recovery",
    "refund",
    "register",
    "remote",
    "renew",
    "reset",
    "reward",
    "rewards",
    "safe",
    "safety",
    "sale",
    "secure",
    "security",
    "server",
    "service",
    "services",
    "session",
    "shop",
    "signin",
    "signup",
    "site",
    "sso",
    "status",
    "store",
    "support",
    "team",
    "tech",
    "ticket",
    "track",
    "tracking",
    "unlock",
    "update",
    "updates",
    "upgrade",
    "user",
    "validate",
    "verification",
    "verify",
    "vip",
    "wallet",
    "web",
    "webmail",
    "win",
    "www",
];

/// Labels that host names have for what they are: alone they imitate nobody.
pub(crate) const HOST_WORDS: &[&str] = &[
    "account", "admin", "api", "app", "blog", "cdn", "chat", "cloud", "dev", "docs", "forum",
    "help", "home", "image", "images", "live", "login", "mail", "media", "mobile", "news",
    "office", "online", "outlook", "portal", "search", "server", "shop", "static", "status",
    "store", "support", "test", "video", "weather", "web", "webmail", "wiki", "www",
];
