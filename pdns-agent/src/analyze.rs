//! Judges names by their text alone: whether a program made them up, and which protected names they imitate.
//!
//! Layer 3: names in, verdicts and reasons out. No store, no clock, no input or output; models come as octets.
//!
//! # Generated names
//!
//! The label that the owner of a domain chose is scored ([`Model::classify`]). A Markov chain and two naive
//! Bayes classifiers over character n-grams give log-odds; a random forest sees these and other features, 38 in all;
//! logistic regression makes one probability of both. Reasons are what the features added to the forest's score along
//! its paths, and the n-grams that weigh most. Names that belong together get one verdict ([`Model::classify_set`]).
//!
//! [`train`] makes a model from lists of good and bad names; [`Model::from_bytes`] reads its file, whoever wrote it.

mod assess;
mod budget;
mod counts;
mod features;
mod forest;
pub mod fuzz;
mod generate;
mod grow;
mod language;
mod logistic;
mod mimic;
mod model;
mod new_sets;
mod parts;
mod random;
mod report;
mod score;
mod subject;
mod symbols;
mod train;
mod tunnel;
mod verdict;
mod vocabulary;

pub use assess::{AlertClass, NameEvidence, Risk, imitates, looks, risk};
pub use budget::{Budget, Decision, WINDOW};
pub use generate::{Generated, generate};
pub use mimic::{
    KINDS, MAX_PROTECTED, MAX_SQUATS, MIMIC_LIMIT, Mimic, MimicIndex, MimicKind, NoSquats,
    PossibleSquats, Screen, Squat, brands, imitable, squats,
};
pub use model::Model;
pub use new_sets::{DueSet, NewSets, SetKey};
pub use parts::{MAX_MODEL, ModelError};
pub use report::{CalibrationBin, DgaRate, GroupRates, Measured, NEW_NAMES, Rate, Report, SetRate};
pub use score::{
    Band, Capped, EVIDENCE, Evidence, EvidenceKind, Group, Ledger, LedgerEntry, WATCH, Weights,
    WeightsError, age_strength, dga_strength, feed_strength, shared_strength,
};
pub use subject::{SHORT, dynamic_zone, owned_domain, scored_domain};
pub use train::{Labelled, TrainError, TrainOptions, train};
pub use tunnel::{
    ExemptError, Exempts, MAX_TUNNEL_NAMES, TunnelAggregate, TunnelReport, TunnelSighting,
    TunnelVerdict, content_strength, is_rare,
};
pub use verdict::{Classified, Reason, Scores, SetVerdict, Verdict};
