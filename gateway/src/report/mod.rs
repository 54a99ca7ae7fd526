//! What a job did, on one page that needs no cluster to be read.
//!
//! ```text
//!  state store, leader ──► gather.rs ──► Facts ──► findings.rs ──► page.rs ──► HTML
//!  board of live/ ────────────┘                                       ▲
//!                                                       picture.rs ───┘
//! ```
//!
//! Owns nothing: it reads what the gateway keeps anyway, so what the board has forgotten is missing, and the page says
//! so. Findings and pages are functions of the facts.

mod alone;
mod facts;
mod findings;
mod gather;
mod page;
mod picture;
mod words;

pub(crate) use page::page;
