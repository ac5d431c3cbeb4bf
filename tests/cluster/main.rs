//! A real cluster of six processes: the suites that hold for every store, and what only a
//! cluster can do wrong. Needs `redis-server` or `valkey-server`; where there is none it says
//! SKIPPED, and fails where `TEST_REQUIRE_REDIS` is set.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]
#![allow(clippy::wildcard_enum_match_arm, reason = "the others are not meant")]
#![allow(clippy::duplicate_mod, reason = "each of the included tests has its own support")]

#[path = "../api.rs"]
mod api;
#[path = "../duplicates.rs"]
mod duplicates;
mod failures;
mod nodes;
#[path = "../pages.rs"]
mod pages;
mod recovery;
#[path = "../standing.rs"]
mod standing;
#[path = "../store.rs"]
mod store;
#[path = "../support/mod.rs"]
mod support;
#[path = "../teasers.rs"]
mod teasers;
#[path = "../transfer.rs"]
mod transfer;
mod ways;
