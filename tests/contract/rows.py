"""The bad input that has a promised answer, by its number, and the tests that send it.

A test is written as path::function, below tests/. Rows 42 to 62 speak of files, addresses and sandboxes.
"""

from __future__ import annotations

DOOR = "e2e/test_bad_input.py::test_bad_input_gets_its_answer_at_the_door"
SERVICE = "e2e/test_bad_input.py::test_bad_input_gets_its_answer_from_the_service"
WIRE = "contract/gateway/test_http.py::test_what_is_not_a_good_request_gets_a_problem_and_harms_nobody"
LEAN = "contract/gateway/test_http.py::test_bad_requests_do_not_fatten_the_process"
BODY = "unit/gateway/test_body.py::test_what_is_not_a_plain_json_object_is_400"
ADMISSION = "unit/gateway/identity/test_admission.py::"
IDENTITY = "contract/session/test_identity.py::"
LOGIN = "e2e/test_login.py::"
ISOLATION = "contract/isolation/test_isolation.py::"
DOORS = "contract/isolation/test_doors.py::"
PROGRAMS = "e2e/test_login_of_programs.py::"
TAMPERED = (
    f"{LOGIN}test_rows_25_to_28_tokens_that_we_did_not_make_are_refused",
    f"{IDENTITY}test_tokens_that_were_tampered_with_are_refused",
    "unit/chassis/test_passes.py::test_a_forged_pass_is_refused",
    "unit/chassis/test_passes.py::test_a_pass_with_claims_that_we_do_not_make_is_refused",
)

# What comes, and who sends it.
ROWS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("a body that is no JSON, or broken off", (DOOR, BODY)),
    2: ("JSON that is no object", (DOOR, BODY)),
    3: ("names twice, NaN, infinities, numbers too large", (DOOR, SERVICE, BODY)),
    4: ("100,000 nested brackets", (DOOR, LEAN, BODY)),
    5: ("right JSON of a wrong content type", (DOOR, WIRE)),
    6: ("bytes that are not UTF-8, half a surrogate pair", (DOOR, BODY)),
    7: ("NUL in a question, a title, an id", (DOOR, SERVICE)),
    8: ("a question of nothing, of blanks, of characters without width", (DOOR, SERVICE)),
    9: ("a question that is too long by one, or by far", (DOOR, SERVICE)),
    10: ("an agent that is not there", (DOOR, SERVICE)),
    11: (
        "a top_k that is none",
        (DOOR, SERVICE, "unit/gateway/test_body.py::test_a_whole_number_is_nothing_else"),
    ),
    12: ("a temperature that is none", (DOOR, SERVICE)),
    13: (
        "a field that nobody knows, 10,000 fields",
        (DOOR, "unit/gateway/test_body.py::test_a_field_that_nobody_asked_for_is_named"),
    ),
    14: ("a declared length over the limit", (DOOR, WIRE)),
    15: (
        "a chunked body over the limit",
        (WIRE, LEAN, "contract/gateway/test_http.py::test_a_chunked_body_within_the_limit_arrives_whole"),
    ),
    16: (
        "a size or hash other than declared",
        (
            "contract/vector/test_ingest.py::test_what_does_not_agree_is_refused_and_leaves_nothing",
            "contract/session/test_attachments.py::test_what_is_refused_leaves_nothing",
            "contract/gateway/test_http.py::test_a_body_shorter_than_declared_never_reaches_a_service",
            "unit/gateway/test_problem.py::test_some_reasons_have_a_better_word",
        ),
    ),
    17: ("two lengths, a length and chunks, a negative length", (WIRE,)),
    18: ("a transfer coding that nobody knows", (WIRE,)),
    19: (
        "a head that is too large",
        (
            WIRE,
            "unit/chassis/test_calls.py::test_metadata_that_is_too_large_is_refused_and_harms_nobody",
        ),
    ),
    20: (
        "a host that is missing, another's, or there twice",
        (WIRE, "unit/gateway/test_security.py::test_other_names_are_400"),
    ),
    21: (
        "heads and bodies that trickle, sockets that are silent",
        (
            WIRE,
            "contract/gateway/test_http.py::test_a_head_that_trickles_is_cut_off",
            "contract/gateway/test_http.py::test_silent_and_half_open_clients_do_not_keep_others_waiting",
        ),
    ),
    22: (
        "a method that is none, or not of this path",
        (
            WIRE,
            "unit/gateway/test_security.py::test_a_wrong_verb_is_405_and_names_the_right_ones",
            "e2e/test_bad_input.py::test_bytes_that_are_no_message_and_calls_that_are_none",
        ),
    ),
    23: (
        "paths that climb, hold NUL, begin twice, change their case",
        (WIRE, "unit/gateway/test_security.py::test_control_characters_in_a_path_are_400"),
    ),
    24: (
        "no token, an empty one, another scheme",
        (
            f"{ADMISSION}test_row_24_without_a_token_nobody_is_let_in",
            f"{ADMISSION}test_row_24_every_route_but_the_open_ones_demands_a_caller",
        ),
    ),
    25: ("a token without an algorithm or a signature", TAMPERED),
    26: (
        "a token of another algorithm, with a key of its own, with a path for a key's id",
        (*TAMPERED, f"{IDENTITY}test_keys_that_a_token_names_are_not_fetched"),
    ),
    27: ("a token with an extension that nobody knows, too large, of too many parts", TAMPERED),
    28: ("a token that has ended, is not good yet, or whose claims are missing or none", TAMPERED),
    29: (
        "a refresh token for an access token, the other way round, a revoked one",
        (
            f"{LOGIN}test_row_29_a_refresh_token_is_no_access_token_nor_the_other_way_round",
            f"{LOGIN}test_row_29_who_has_signed_out_is_refused_at_once",
            f"{ADMISSION}test_a_revoked_token_is_refused_at_once",
            f"{PROGRAMS}test_a_revoked_key_is_refused_at_once",
            f"{PROGRAMS}test_a_stream_ends_after_its_caller_has_signed_out",
        ),
    ),
    30: (
        "an old refresh token, used again",
        (
            f"{LOGIN}test_row_30_five_tabs_renew_at_once_and_stay_signed_in",
            f"{IDENTITY}test_five_who_renew_at_once_get_the_same",
            f"{IDENTITY}test_a_late_second_use_ends_the_family",
        ),
    ),
    31: (
        "a page of another site that acts with the cookie",
        (
            f"{ADMISSION}test_row_31_a_page_of_another_site_cannot_act_with_the_cookie",
            f"{ADMISSION}test_row_31_our_own_page_acts_with_the_cookie",
        ),
    ),
    32: (
        "a preflight of an origin that is not listed",
        (
            f"{ADMISSION}test_row_32_a_preflight_of_an_unlisted_origin_allows_nothing",
            f"{ADMISSION}test_row_32_a_listed_origin_may_send_a_token_and_no_cookie",
        ),
    ),
    33: (
        "wrong passwords without end, one of 10 MB, one with NUL",
        (
            f"{LOGIN}test_row_33_wrong_passwords_end_in_429",
            f"{IDENTITY}test_after_ten_wrong_passwords_a_name_waits_and_others_do_not",
            f"{IDENTITY}test_a_password_of_ten_megabytes_is_refused_and_harms_nobody",
            f"{IDENTITY}test_what_cannot_be_a_password_is_refused",
            "unit/gateway/routes/test_auth.py::"
            "test_row_33_a_password_of_10_mb_is_not_read_and_one_with_nul_is_asked_for",
        ),
    ),
    34: (
        "an id of what is another's, or guessed",
        (
            f"{ISOLATION}test_nobody_learns_of_anothers_things_and_a_missing_check_is_named",
            f"{DOORS}test_nobody_learns_of_anothers_things_and_a_missing_check_is_named",
            f"{DOORS}test_a_check_that_is_taken_out_is_found_and_the_operation_named",
        ),
    ),
    35: (
        "an identity in the body, in headers, in metadata",
        (
            f"{LOGIN}test_row_35_a_forged_identity_reaches_no_service",
            f"{ADMISSION}test_row_35_an_identity_in_the_body_is_no_field",
            f"{ADMISSION}test_row_35_an_identity_in_headers_is_ignored",
            f"{ISOLATION}test_metadata_beside_a_pass_changes_nobody",
        ),
    ),
    36: (
        "a filter with operators, alternatives or depth",
        (
            DOOR,
            SERVICE,
            "unit/gateway/test_body.py::test_a_flat_object_holds_no_structure",
            "unit/gateway/routes/test_search.py::test_a_wrong_field_is_400_and_never_reaches_the_service",
        ),
    ),
    37: (
        "a collection's name that is none",
        (DOOR, SERVICE, "contract/vector/test_collections.py::test_ids_that_are_not_ids_are_refused"),
    ),
    38: (
        "a vector of another dimension, of nothing, of no numbers, of zeros",
        (
            "unit/vector/embedding/test_openai.py::test_another_dimension_is_refused_and_says_what_to_do",
            "unit/vector/embedding/test_openai.py::test_an_answer_that_is_none_is_an_error",
            "contract/vector/test_degraded.py::test_another_model_is_refused_with_the_way_out",
        ),
    ),
    39: (
        "a batch of nothing, of too many, of the same twice",
        (
            DOOR,
            SERVICE,
            "contract/vector/test_import.py::test_one_id_many_times_in_one_stream_ends_with_the_last",
            "contract/vector/test_import.py::test_an_import_of_nothing_is_refused",
            "unit/gateway/routes/test_documents.py::test_an_import_of_nothing_is_400",
        ),
    ),
    40: (
        "one id twice at once with different texts",
        ("contract/vector/test_ingest.py::test_two_writers_of_one_external_id_do_not_interleave",),
    ),
    41: (
        "a key that is none, of another request, of one under way",
        (
            DOOR,
            SERVICE,
            "e2e/test_bad_input.py::test_a_key_is_for_one_request_and_one_at_a_time",
            "unit/gateway/routes/test_runs.py::test_a_running_request_id_says_when_to_come_back",
            "contract/agents/test_run_life.py::test_a_request_that_is_being_answered_is_not_begun_again",
        ),
    ),
    63: (
        "a restore by nobody in charge, a second one, one during writes",
        (
            "unit/chassis/test_calls.py::test_a_scope_that_is_missing_is_refused",
            "e2e/test_backup_by_command.py::test_who_may_not_administer_gets_and_brings_nothing",
            "unit/gateway/routes/test_backups.py::test_one_at_a_time",
            "contract/vector/test_snapshot.py::test_a_second_import_is_aborted_and_the_first_goes_on",
            "contract/vector/test_snapshot.py::test_writes_under_way_are_aborted_and_never_reach_the_new_record",
            "contract/session/test_snapshots.py::test_of_two_imports_the_second_is_told_to_wait",
        ),
    ),
    64: (
        "bytes that are no message, methods that are none, deadlines that are none",
        (
            "e2e/test_bad_input.py::test_bytes_that_are_no_message_and_calls_that_are_none",
            "unit/chassis/test_calls.py::test_bytes_that_are_no_message_are_refused_as_a_bad_request",
            "unit/chassis/test_calls.py::test_a_call_without_a_deadline_gets_the_contracts_default",
            "unit/chassis/test_calls.py::test_a_deadline_beyond_the_maximum_is_shortened",
        ),
    ),
    65: (
        "streams that are never written or read, a thousand of them, resets",
        (
            "e2e/test_bad_input.py::test_streams_that_nobody_fills_or_reads_hold_nobody_up",
            "e2e/test_bad_input.py::test_a_thousand_streams_at_a_service_are_refused_beyond_its_limit",
            "e2e/test_bad_input.py::test_a_thousand_event_streams_leave_room_for_others",
            "unit/chassis/test_calls.py::test_too_many_calls_are_refused_and_health_still_answers",
            "unit/chassis/test_calls.py::test_a_stream_ends_at_its_deadline",
        ),
    ),
    66: (
        "a page token that is forged or another's, a size that is none",
        (
            DOOR,
            SERVICE,
            "contract/session/test_sessions.py::test_a_page_token_serves_its_own_request_only",
            "contract/vector/test_collections.py::test_pages_hold_every_collection_once_and_their_tokens_are_bound",
        ),
    ),
    67: (
        "a session's id that is long, a pattern, another's",
        (
            DOOR,
            SERVICE,
            "contract/session/test_sessions.py::test_another_tenants_session_answers_as_a_missing_one",
        ),
    ),
    68: (
        "a Last-Event-ID that is forged, of another stream, too old",
        (
            DOOR,
            SERVICE,
            "unit/gateway/routes/test_runs.py::test_a_forged_last_event_id_is_400",
            "unit/gateway/routes/test_runs.py::test_a_watch_that_is_refused_has_its_status",
            "contract/session/test_runs.py::test_the_oldest_events_of_a_long_run_are_not_kept",
        ),
    ),
    69: (
        "more requests than a person may make, whatever is forwarded",
        (
            f"{LOGIN}test_row_69_the_rate_of_a_person_ends_whatever_is_forwarded",
            f"{ADMISSION}test_row_69_a_spent_rate_is_429_whatever_is_forwarded",
            f"{PROGRAMS}test_openais_client_hears_that_the_minute_is_used_up",
            f"{PROGRAMS}test_mcps_door_says_that_the_minute_is_used_up",
        ),
    ),
    70: (
        "a model that answers with what is no answer",
        (
            "contract/agents/test_model_answers.py::test_a_model_that_fails_for_good_is_asked_once",
            "contract/agents/test_model_answers.py::test_a_model_that_may_recover_is_asked_again",
            "contract/agents/test_model_answers.py::test_two_retries_are_all",
            "contract/agents/test_asking.py::test_a_model_that_asks_for_tools_without_end_is_not_obeyed",
            "unit/agents/test_tools.py::test_a_tool_that_the_agent_does_not_name_is_a_defect_and_does_nothing",
            "unit/agents/answering/test_generative.py::test_an_endless_model_is_stopped",
        ),
    ),
    71: (
        "line breaks and escapes in names and heads, on their way into the log",
        (
            "unit/chassis/test_redaction.py::test_a_value_cannot_start_a_line",
            "unit/chassis/test_calls.py::test_a_hostile_request_id_is_replaced",
            "contract/gateway/test_http.py::test_one_trace_and_one_request_id_go_all_the_way",
        ),
    ),
}
PROMISED = (*range(1, 42), *range(63, 72))
