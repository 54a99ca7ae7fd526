//! What every state store promises, run against memory and against a real Redis.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed unwrap is the test's failure"
)]

mod blobs;
mod events;
mod failures;
mod harness;
mod jobs;
mod journal;
mod lease;
mod lifetimes;
mod pages;
mod redis_only;
mod shared;

/// Makes each listed behaviour a test of both stores.
macro_rules! on_both_stores {
    ($module:ident: $($behaviour:ident),+ $(,)?) => {
        mod $module {
            mod memory {
                $(#[tokio::test] async fn $behaviour() {
                    crate::$module::$behaviour(crate::harness::MemoryHarness::start().await).await;
                })+
            }
            mod redis {
                $(#[tokio::test] async fn $behaviour() {
                    crate::$module::$behaviour(crate::harness::RedisHarness::start().await).await;
                })+
            }
        }
    };
}

mod tests {
    on_both_stores!(lease:
        only_one_candidate_holds_the_lease,
        an_expired_lease_goes_to_the_next_candidate_with_a_higher_term,
        terms_rise_above_what_peers_report,
        a_repeated_acquire_returns_the_same_fence,
        the_holder_takes_a_new_term_when_peers_report_its_own,
        renewing_makes_the_lease_last,
        a_lost_lease_is_neither_renewed_nor_released,
        a_released_lease_is_free_at_once,
        no_term_follows_the_last,
        a_lease_names_who_was_given_the_term_before,
        a_store_that_lost_everything_gives_no_term_again,
    );
    on_both_stores!(journal:
        a_fenced_commit_writes_nothing,
        a_commit_without_any_lease_is_fenced,
        the_sequence_rises_with_each_commit,
        an_empty_commit_checks_the_fence,
        writes_of_a_batch_apply_in_order,
        a_value_above_its_limit_refuses_the_whole_batch,
        a_batch_of_many_thousand_writes_lands_completely,
        concurrent_commits_all_land,
    );
    on_both_stores!(jobs:
        a_stored_job_loads_as_it_was_put,
        an_unknown_job_is_none,
        putting_a_job_again_keeps_what_else_it_has,
        the_first_extension_of_a_task_wins,
        extensions_keep_the_order_of_their_commits,
        errors_are_replaced_removed_and_capped,
        results_are_replaced_and_removed,
        logs_are_capped_by_count_and_by_bytes,
        a_deleted_job_is_gone_everywhere,
        writes_to_a_job_that_is_not_stored_do_nothing,
        jobs_are_listed_newest_first_in_pages,
        a_cancel_is_remembered,
    );
    on_both_stores!(pages:
        pages_read_back_in_part_and_beyond_the_end,
        random_page_writes_match_a_model,
    );
    on_both_stores!(events:
        events_are_read_in_order_and_resumed_by_id,
        dropped_events_are_told_as_a_gap,
        a_waiting_reader_wakes_at_the_next_event,
        a_waiting_reader_gives_up_in_time,
        readers_of_other_jobs_are_not_served,
        a_reader_that_resumes_a_deleted_job_learns_of_the_gap,
    );
    on_both_stores!(lifetimes:
        a_terminal_job_leaves_the_active_ones_and_expires,
        a_job_that_lives_again_does_not_expire,
        late_writes_to_an_expiring_job_expire_with_it,
        expired_jobs_leave_the_list,
        worker_registrations_lapse,
        client_sessions_lapse_unless_renewed,
        records_stay_until_removed,
    );
    on_both_stores!(blobs:
        a_blob_expires,
        a_kept_blob_does_not_expire_until_the_leader_lets_it,
        a_gateway_cannot_shorten_or_delete_a_kept_blob,
        extending_never_shortens,
        a_fenced_leader_changes_no_blob,
    );
    on_both_stores!(shared:
        a_cell_is_written_only_as_it_was_seen,
        of_writers_who_saw_the_same_one_succeeds,
        versions_never_come_back,
        a_reader_of_a_cell_waits_for_a_change,
        a_reader_of_an_unchanged_cell_gives_up_in_time,
        cells_are_listed_by_prefix_and_expire,
        a_cell_that_is_renewed_stays,
        what_is_shared_is_bounded,
        items_are_taken_in_the_order_of_their_pushes,
        a_repeated_request_changes_a_queue_once,
        a_full_queue_refuses_waits_or_drops_the_oldest,
        a_taker_waits_for_an_item,
        every_item_is_taken_once,
        a_removed_queue_is_empty_and_gives_its_room_back,
        a_semaphore_is_held_in_the_order_of_arrival,
        a_waiter_holds_as_soon_as_a_holder_leaves,
        a_holder_that_is_not_renewed_loses_its_place,
        a_waiter_that_gives_up_does_not_hold_the_others_up,
        the_line_of_a_semaphore_is_bounded,
    );
    on_both_stores!(failures:
        calls_fail_fast_while_the_store_is_down_and_work_again_after,
        a_restart_keeps_data_and_changes_the_run_id,
        a_store_that_lost_its_data_shows_a_lower_sequence,
        a_waiting_reader_survives_a_restart,
    );
}
