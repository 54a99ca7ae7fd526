//! The contract of the bus, run against every implementation. A test here is named after a promise of the crate's
//! documentation; what only one implementation does is tested in its own module.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod amqp_only;
mod harness;
mod suite;
mod suite_breaks;

macro_rules! contract {
    ($start:ident: $($suite:ident::$name:ident),* $(,)?) => {
        mod inproc {
            use crate::harness::{Harness, InprocHarness};
            $(#[tokio::test]
            async fn $name() {
                crate::$suite::$name(InprocHarness::$start().await).await;
            })*
        }
        mod amqp {
            use crate::harness::{AmqpHarness, Harness};
            $(#[tokio::test]
            async fn $name() {
                crate::$suite::$name(AmqpHarness::$start().await).await;
            })*
        }
    };
}

mod shared_broker {
    contract!(start:
        suite::frames_arrive_in_order,
        suite::a_burst_of_ten_thousand_frames_arrives_whole,
        suite::a_frame_for_a_missing_queue_is_returned,
        suite::hello_reaches_every_listener,
        suite::live_views_see_their_topics_once,
        suite::a_full_live_view_drops_its_oldest_frames,
        suite::a_confirmed_frame_needs_a_queue,
        suite::oversized_frames_and_names_are_refused,
        suite::the_largest_frame_passes,
        suite::prefetch_bounds_unacknowledged_intake,
        suite::undecodable_frames_are_put_aside_and_counted,
        suite_breaks::an_exclusive_name_is_never_taken_twice,
        suite_breaks::a_private_queue_vanishes_with_its_consumer,
        suite_breaks::a_private_queue_vanishes_with_its_link,
        suite_breaks::unacknowledged_intake_returns_when_the_consumer_ends,
        suite_breaks::unacknowledged_intake_returns_when_the_link_breaks,
        suite_breaks::acknowledged_intake_does_not_return,
        suite_breaks::a_broken_link_tells_everybody_on_it,
        suite_breaks::a_closed_link_sends_what_was_published_before,
    );
}

mod own_broker {
    contract!(start_own:
        suite_breaks::intake_survives_a_restart_and_links_open_again,
        suite_breaks::connecting_waits_for_the_broker,
    );
}
