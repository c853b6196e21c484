"""The faults that a run may meet, each with the tests that cover it: python tests/faults.py

It writes faults.md; a test holds that it is up to date, and that the tests exist.
"""

import ast
from pathlib import Path

HERE = Path(__file__).parent

COVERED: dict[int, tuple[str, list[str]]] = {
    1: (
        "--opt adm",
        [
            "test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure",
            "test_hyper.py::test_a_name_is_found_in_whatever_case_and_a_near_one_is_suggested",
            "test_compare.py::test_wrong_arguments_cost_two_lines",
        ],
    ),
    2: (
        "no --opt",
        [
            "test_train.py::test_the_default_is_adam_on_the_lectures_network_for_ten_epochs",
            "test_train.py::test_json_is_one_object_on_the_last_line_with_all_that_was_promised",
        ],
    ),
    3: (
        "--opt ADAM, or with spaces around it",
        [
            "test_train.py::test_names_may_be_written_in_any_case_and_are_kept_in_ours",
            "test_hyper.py::test_a_name_is_found_in_whatever_case_and_a_near_one_is_suggested",
        ],
    ),
    4: (
        "--lr nan, --lr inf",
        [
            "test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure",
            "test_hyper.py::test_what_is_no_finite_number_is_refused_by_every_field",
        ],
    ),
    5: (
        "--lr 0, --lr -0.1",
        [
            "test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure",
            "test_hyper.py::test_a_number_out_of_range_is_refused_with_the_range",
        ],
    ),
    6: (
        "--lr 1e10",
        [
            "test_train.py::test_a_diverging_run_ends_with_exit_code_5_and_without_a_model",
            "test_resume.py::test_a_run_that_diverges_keeps_its_last_good_state",
            "test_loop.py::test_a_rate_that_is_much_too_large_ends_in_a_named_error",
        ],
    ),
    7: (
        "--lr 0,01",
        ["test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure"],
    ),
    8: (
        "--epochs 0",
        [
            "test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure",
            "test_loop.py::test_arguments_are_checked_when_fit_is_called_and_not_later",
            "test_resume.py::test_misuse_is_an_error_in_two_lines",
        ],
    ),
    9: (
        "--epochs 1.5, --epochs 1e3",
        ["test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure"],
    ),
    10: (
        "--epochs 1_0, --lr 1_000",
        ["test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure"],
    ),
    11: (
        "--batch-size 0, -1",
        [
            "test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure",
            "test_loaders.py::test_a_batch_size_that_cannot_be_is_refused",
        ],
    ),
    12: (
        "a batch larger than the training set",
        [
            "test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure",
            "test_faults.py::test_a_batch_larger_than_the_training_set_is_refused_by_compare_too",
        ],
    ),
    13: (
        "batches that do not divide the number of images",
        [
            "test_loop.py::test_the_training_loss_is_the_mean_over_images_and_not_over_batches",
            "test_loaders.py::test_every_image_comes_once_an_epoch_and_no_batch_is_dropped",
        ],
    ),
    14: (
        "--ep 3, an abbreviation",
        ["test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure"],
    ),
    15: (
        "--beta1 1.0, --momentum 1.5",
        [
            "test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure",
            "test_hyper.py::test_a_number_out_of_range_is_refused_with_the_range",
        ],
    ),
    16: (
        "--beta1 with an optimizer that has none",
        ["test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure"],
    ),
    17: (
        "the same flag twice",
        [
            "test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure",
            "test_resume.py::test_misuse_is_an_error_in_two_lines",
            "test_compare.py::test_wrong_arguments_cost_two_lines",
        ],
    ),
    18: (
        "--hidden 0, 1000,abc, or more units than memory",
        [
            "test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure",
            "test_model.py::test_a_network_that_cannot_be_is_refused",
            "test_bad_arguments.py::test_every_flag_refuses_every_number_that_cannot_be",
            "test_faults.py::test_a_network_larger_than_the_machine_is_refused_with_both_sizes",
        ],
    ),
    19: (
        "--seed -1, 1.5, 2^200",
        [
            "test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure",
            "test_loaders.py::test_a_seed_that_is_none_is_refused",
            "test_loaders.py::test_every_image_comes_once_an_epoch_and_no_batch_is_dropped",
            "test_datasets.py::test_arguments_that_cannot_be_are_refused",
        ],
    ),
    20: ("no --seed", ["test_resume.py::test_other_settings_are_refused_by_name"]),
    21: (
        "an unknown activation or initializer",
        [
            "test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure",
            "test_model.py::test_a_network_that_cannot_be_is_refused",
        ],
    ),
    22: (
        "--out a file, not writable, not empty",
        [
            "test_train.py::test_a_place_that_cannot_be_written_is_refused_before_training",
            "test_train.py::test_a_folder_in_use_is_refused_and_left_as_it_is",
            "test_compare.py::test_a_folder_with_something_else_is_refused_and_left_alone",
            "test_faults.py::test_the_home_of_nobody_and_no_path_at_all_are_refused",
        ],
    ),
    23: (
        "a folder's name that is long, foreign, or none",
        [
            "test_faults.py::test_a_folder_of_any_name_that_the_disk_takes_is_that_folder",
            "test_faults.py::test_a_name_that_the_disk_does_not_take_is_refused",
        ],
    ),
    24: (
        "--resume with nothing there, or a file",
        [
            "test_resume.py::test_misuse_is_an_error_in_two_lines",
            "test_checkpoint.py::test_a_missing_file_a_folder_and_a_pipe_are_refused",
            "test_faults.py::test_a_folder_that_may_not_be_searched_is_told_so",
        ],
    ),
    25: (
        "--resume with another setting typed",
        [
            "test_resume.py::test_other_settings_are_refused_by_name",
            "test_resume.py::test_the_same_settings_may_be_typed_again",
        ],
    ),
    26: (
        "--threads 0, -3, 1000",
        [
            "test_bad_arguments.py::test_every_flag_refuses_every_number_that_cannot_be",
            "test_blas.py::test_more_threads_than_processors_are_warned_of",
            "test_faults.py::test_our_own_warnings_stay_warnings_when_python_makes_errors_of_them",
        ],
    ),
    27: (
        "fewer images than classes, or than validation needs",
        [
            "test_train.py::test_a_small_training_set_makes_a_small_batch_and_the_whole_network",
            "test_datasets.py::test_a_small_training_set_does_not_make_classes_vanish",
            "test_datasets.py::test_arguments_that_cannot_be_are_refused",
        ],
    ),
    28: (
        "validation of none, of all, of more",
        [
            "test_train.py::test_val_size_zero_trains_on_everything_and_reports_no_validation",
            "test_train.py::test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure",
            "test_datasets.py::test_arguments_that_cannot_be_are_refused",
        ],
    ),
    29: (
        "a JSON file with bad syntax or foreign names",
        [
            "test_checkpoint.py::test_text_that_is_no_json_and_text_that_nests_for_ever_are_refused",
            "test_resume.py::test_names_in_a_checkpoint_reach_no_file_and_no_module",
        ],
    ),
    30: (
        "--help without data, home or a folder to write",
        [
            "test_datasets.py::test_importing_the_package_touches_neither_disk_nor_network",
            "test_train.py::test_help_lists_the_hyper_parameters_of_the_chosen_optimizer",
            "test_faults.py::test_help_needs_neither_data_nor_home_nor_a_folder_to_write",
        ],
    ),
    31: (
        "--bias False",
        [
            "test_bad_arguments.py::test_what_no_command_knows_is_refused",
            "test_train.py::test_a_flag_overrules_the_preset_and_its_rate_belongs_to_its_own_optimizer",
            "test_train.py::test_the_network_is_the_one_asked_for",
        ],
    ),
    32: (
        "a reader of stdout who leaves",
        [
            "test_train.py::test_a_reader_who_leaves_ends_the_run_quietly",
            "test_train.py::test_a_stream_that_is_closed_or_knows_no_umlaut_is_no_error",
        ],
    ),
    33: (
        "a data folder that is missing, empty, or lacks files",
        [
            "test_datasets.py::test_a_folder_that_is_none_is_called_so",
            "test_datasets.py::test_all_missing_files_are_named_at_once",
            "test_datasets.py::test_three_of_four_files_in_data_mnist_are_an_error_and_not_an_absence",
            "test_train.py::test_wrong_data_files_end_with_exit_code_3",
        ],
    ),
    34: (
        "a file of zero bytes",
        [
            "test_train.py::test_wrong_data_files_end_with_exit_code_3",
            "test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named",
        ],
    ),
    35: (
        "a .gz cut at any byte",
        [
            "test_datasets.py::test_a_file_cut_at_any_byte_is_refused",
            "test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named",
        ],
    ),
    36: (
        "one flipped bit",
        [
            "test_datasets.py::test_one_flipped_bit_anywhere_is_harmless_or_refused",
            "test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named",
        ],
    ),
    37: (
        "a web page saved as .gz",
        [
            "test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named",
            "test_train.py::test_wrong_data_files_end_with_exit_code_3",
        ],
    ),
    38: (
        "a plain file named .gz, and the reverse",
        ["test_datasets.py::test_a_good_file_is_found_and_read_whatever_its_name_says"],
    ),
    39: (
        "a file compressed twice",
        ["test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named"],
    ),
    40: (
        "a gzip bomb",
        ["test_datasets.py::test_a_bomb_is_not_unpacked_beyond_what_the_file_should_have"],
    ),
    41: (
        "bytes behind the end",
        [
            "test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named",
            "test_faults.py::test_bytes_after_the_compressed_file_are_refused",
            "test_faults.py::test_zeros_after_the_compressed_file_are_padding",
        ],
    ),
    42: (
        "images and labels swapped, a wrong magic number",
        [
            "test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named",
            "test_train.py::test_wrong_data_files_end_with_exit_code_3",
        ],
    ),
    43: (
        "a little-endian header",
        ["test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named"],
    ),
    44: (
        "a header with other counts than the body",
        ["test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named"],
    ),
    45: (
        "a header with a count of 2^31",
        ["test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named"],
    ),
    46: (
        "60,000 images and 10,000 labels",
        [
            "test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named",
            "test_loaders.py::test_images_and_labels_that_do_not_belong_together_are_refused",
        ],
    ),
    47: (
        "label 10, label 255",
        [
            "test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named",
            "test_model.py::test_examples_that_do_not_fit_the_network_are_refused",
        ],
    ),
    48: (
        "other data of the same shape",
        ["test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named"],
    ),
    49: (
        "MNIST compressed again",
        [
            "test_datasets.py::test_a_file_that_was_compressed_again_is_the_same_file",
            "test_mnist.py::test_mnist_is_mnist",
        ],
    ),
    50: (
        "images that are not 28 x 28",
        ["test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named"],
    ),
    51: (
        "the training file as test file",
        [
            "test_datasets.py::test_a_wrong_file_is_never_read_and_the_reason_is_named",
            "test_datasets.py::test_the_published_files_have_the_published_sizes",
        ],
    ),
    52: (
        "a read-only data folder",
        [
            "test_elementwise.py::test_a_cache_that_cannot_be_written_costs_time_and_nothing_else",
            "test_blas.py::test_without_a_cache_the_best_kernels_are_found_all_the_same",
            "test_faults.py::test_reading_data_writes_nothing_beside_them",
        ],
    ),
    53: (
        "a dangling link, a FIFO, no permission",
        [
            "test_datasets.py::test_what_is_no_file_is_refused_without_waiting_for_it",
            "test_datasets.py::test_a_dangling_link_is_reported_and_not_passed_over",
            "test_faults.py::test_a_file_or_a_folder_that_may_not_be_read_is_told_so",
        ],
    ),
    54: (
        "network down: names, proxy, TLS, silence",
        [
            "test_download.py::test_a_refused_connection_is_noticed_at_once",
            "test_download.py::test_a_name_server_that_never_answers_is_given_up_within_ten_seconds",
            "test_download.py::test_a_server_that_accepts_and_says_nothing_is_given_up_within_ten_seconds",
            "test_download.py::test_a_garbled_greeting_is_no_answer",
            "test_download.py::test_with_no_good_mirror_nothing_is_left_and_each_reason_is_told",
            "test_datasets.py::test_without_files_and_network_mnist_stops_with_the_names_and_the_place",
            "test_train.py::test_digits_in_place_of_mnist_are_announced_on_stderr_and_written_everywhere",
        ],
    ),
    55: (
        "a mirror with wrong bytes",
        [
            "test_download.py::test_whatever_one_mirror_does_the_other_is_tried",
            "test_download.py::test_with_no_good_mirror_nothing_is_left_and_each_reason_is_told",
        ],
    ),
    56: (
        "kill -9 during the download",
        ["test_faults.py::test_what_a_killed_download_has_left_is_removed_the_next_day"],
    ),
    57: (
        "eight processes with one empty cache",
        ["test_faults.py::test_eight_processes_that_find_an_empty_cache_all_get_whole_files"],
    ),
    58: (
        "a cache that is damaged later",
        ["test_datasets.py::test_only_files_in_the_cache_are_to_be_deleted_and_downloaded_again"],
    ),
    59: (
        "a full disk during the download",
        [
            "test_download.py::test_a_cache_that_cannot_be_written_is_named",
            "test_faults.py::test_a_disk_that_is_full_leaves_no_half_file_in_the_cache",
        ],
    ),
    60: (
        "a file replaced while it is read",
        [
            "test_faults.py::test_a_file_that_is_replaced_while_it_is_read_is_the_one_that_was_opened"
        ],
    ),
    61: (
        "a checkpoint that is empty, cut, or random bytes",
        [
            "test_checkpoint.py::test_other_files_are_refused_by_what_they_are",
            "test_checkpoint.py::test_a_file_that_is_cut_at_any_byte_is_refused",
            "test_checkpoint.py::test_any_bytes_anywhere_are_a_checkpoint_or_an_error_that_says_why",
            "test_checkpoint.py::test_a_flipped_bit_is_noticed_or_changes_nothing",
            "test_resume.py::test_a_damaged_last_checkpoint_is_told_with_the_one_before",
        ],
    ),
    62: (
        "a pickle, .pt, .h5 or joblib file",
        [
            "test_checkpoint.py::test_other_files_are_refused_by_what_they_are",
            "test_checkpoint.py::test_an_array_of_objects_is_refused_and_nothing_in_it_runs",
            "test_checkpoint.py::test_names_that_could_be_paths_are_refused",
        ],
    ),
    63: (
        "an npz with an array of objects",
        ["test_checkpoint.py::test_an_array_of_objects_is_refused_and_nothing_in_it_runs"],
    ),
    64: (
        "a zip bomb, a million members, a path as name",
        [
            "test_checkpoint.py::test_bombs_are_refused_unread",
            "test_checkpoint.py::test_names_that_could_be_paths_are_refused",
            "test_checkpoint.py::test_members_that_lie_over_each_other_are_refused",
        ],
    ),
    65: (
        "weights of another network",
        [
            "test_checkpoint.py::test_another_network_or_optimizer_is_refused_and_not_touched",
            "test_resume.py::test_other_settings_are_refused_by_name",
        ],
    ),
    66: (
        "the state of another optimizer",
        [
            "test_checkpoint.py::test_another_network_or_optimizer_is_refused_and_not_touched",
            "test_resume.py::test_other_settings_are_refused_by_name",
            "test_checkpoint.py::test_the_progress_of_another_optimizer_or_network_is_refused",
        ],
    ),
    67: (
        "a state with a missing, extra or impossible entry",
        [
            "test_checkpoint.py::test_another_network_or_optimizer_is_refused_and_not_touched",
            "test_checkpoint.py::test_numbers_that_cannot_be_are_refused_by_name",
            "test_checkpoint.py::test_a_description_that_does_not_fit_is_refused",
        ],
    ),
    68: (
        "nan or inf in weights or state",
        ["test_checkpoint.py::test_numbers_that_cannot_be_are_refused_by_name"],
    ),
    69: (
        "a float64 file into a float32 run",
        [
            "test_checkpoint.py::test_another_network_or_optimizer_is_refused_and_not_touched",
            "test_resume.py::test_other_settings_are_refused_by_name",
        ],
    ),
    70: ("a newer format", ["test_checkpoint.py::test_a_description_that_does_not_fit_is_refused"]),
    72: ("other images than the run had", ["test_resume.py::test_other_images_are_refused"]),
    74: (
        "a finished run resumed",
        [
            "test_resume.py::test_a_finished_run_says_so_and_goes_on_when_more_epochs_are_asked_for",
            "test_resume.py::test_fewer_epochs_than_there_were_are_refused",
            "test_resume.py::test_a_run_killed_after_its_last_update_is_completed_without_training",
        ],
    ),
    75: (
        "two processes in one run folder",
        [
            "test_resume.py::test_two_processes_do_not_write_one_run",
            "test_study_ledger.py::test_two_processes_do_not_share_a_folder",
            "test_compare.py::test_a_folder_at_which_another_process_works_is_refused",
        ],
    ),
    76: (
        "a crash between writing and renaming",
        [
            "test_checkpoint.py::test_a_save_that_fails_leaves_the_old_checkpoint_and_nothing_else",
            "test_resume.py::test_fifty_kills_at_random_moments_change_no_bit",
            "test_faults.py::test_what_a_kill_has_left_is_removed_when_the_run_goes_on",
        ],
    ),
    77: (
        "a folder that becomes read-only during the run",
        [
            "test_resume.py::test_a_save_that_fails_on_the_way_is_told_and_tried_again",
            "test_checkpoint.py::test_a_save_that_fails_leaves_the_old_checkpoint_and_nothing_else",
            "test_faults.py::test_a_history_that_cannot_be_written_ends_with_the_result_and_exit_code_6",
        ],
    ),
    78: (
        "a disk that is full during a save",
        [
            "test_checkpoint.py::test_a_save_that_fails_leaves_the_old_checkpoint_and_nothing_else",
            "test_train.py::test_a_disk_that_fills_up_leaves_no_half_file_and_exit_code_6",
            "test_resume.py::test_a_save_that_fails_on_the_way_is_told_and_tried_again",
            "test_resume.py::test_a_first_save_that_fails_stops_before_the_first_update",
        ],
    ),
    79: (
        "a history with half a last line",
        ["test_resume.py::test_half_a_line_of_history_is_written_anew"],
    ),
    80: ("a run moved to another folder", ["test_resume.py::test_a_folder_that_was_moved_goes_on"]),
    83: (
        "x of another shape",
        [
            "test_model.py::test_examples_that_do_not_fit_the_network_are_refused",
            "test_loaders.py::test_an_empty_split_cannot_be_loaded",
            "test_loaders.py::test_images_and_labels_that_do_not_belong_together_are_refused",
            "test_faults.py::test_inputs_that_cannot_be_are_refused_by_every_method",
        ],
    ),
    84: (
        "x with nan, inf, complex numbers, objects, strings, or sparse",
        [
            "test_model.py::test_a_float64_that_float32_cannot_hold_is_refused_without_a_warning",
            "test_model.py::test_examples_that_do_not_fit_the_network_are_refused",
            "test_faults.py::test_inputs_that_cannot_be_are_refused_by_every_method",
            "test_faults.py::test_a_split_of_what_are_no_numbers_is_refused",
        ],
    ),
    85: (
        "x of 0 to 255 that nobody divided",
        [
            "test_model.py::test_examples_that_do_not_fit_the_network_are_refused",
            "test_faults.py::test_floats_that_nobody_has_divided_by_255_are_warned_of_once",
        ],
    ),
    82: (
        "predict before fit",
        [
            "test_estimator.py::test_without_fit_there_is_no_answer",
            "test_estimator.py::test_a_fit_that_is_refused_is_no_fit_and_leaves_the_one_before",
        ],
    ),
    94: (
        "clone, pickle, GridSearchCV with two processes, set_params with a bad name",
        [
            "test_estimator.py::test_scikit_learn_finds_nothing_wrong",
            "test_estimator.py::test_a_grid_search_in_two_processes_goes_over_the_rates_of_an_optimizer",
            "test_estimator.py::test_a_stored_one_predicts_the_same_and_trains_on_the_same",
            "test_estimator.py::test_an_unknown_parameter_is_refused_with_the_known_ones",
        ],
    ),
    86: (
        "labels that are none",
        [
            "test_model.py::test_examples_that_do_not_fit_the_network_are_refused",
            "test_loaders.py::test_images_and_labels_that_do_not_belong_together_are_refused",
        ],
    ),
    87: (
        "x read-only, strided, memory-mapped, float16",
        [
            "test_compare.py::test_workers_share_one_copy_of_the_images",
            "test_loaders.py::test_the_images_of_a_split_cannot_be_changed_nor_are_the_callers_locked",
            "test_faults.py::test_inputs_in_any_layout_give_the_same_answers_and_stay_as_they_are",
            "test_estimator.py::test_any_real_dtype_will_do_and_the_input_is_left_alone",
            "test_estimator.py::test_it_does_not_matter_how_the_numbers_lie",
        ],
    ),
    88: (
        "update with a state, a gradient or an array that does not belong",
        [
            "test_optimizers.py::test_the_state_of_another_array_is_refused",
            "test_optimizers.py::test_the_state_of_another_optimizer_is_refused",
            "test_optimizers.py::test_arrays_that_do_not_fit_are_refused_by_name",
            "test_optimizers.py::test_weights_that_are_their_own_gradient_are_refused",
            "test_optimizers.py::test_a_state_without_a_slot_is_refused_by_name",
            "test_examination.py::test_every_optimizer_of_ours_passes",
            "test_loop.py::test_a_loss_that_is_no_number_stops_before_the_update",
        ],
    ),
    89: (
        "one state for two arrays",
        [
            "test_checkpoint.py::test_one_state_for_two_arrays_is_refused",
            "test_checkpoint.py::test_one_array_that_is_shared_from_the_first_update_on_is_refused",
        ],
    ),
    90: (
        "an optimizer of one's own that breaks the contract",
        [
            "test_train.py::test_an_optimizer_that_breaks_the_contract_is_not_trained",
            "test_optimizers.py::test_an_update_that_does_not_move_w_itself_is_found_at_once",
            "test_examination.py::test_every_wrong_optimizer_is_rejected",
        ],
    ),
    91: (
        "a name registered twice",
        [
            "test_compare.py::test_two_optimizers_of_one_name_are_refused",
            "test_optimizers.py::test_no_optimizer_in_the_folder_is_missing_from_the_table",
        ],
    ),
    92: (
        "a loader iterated twice, or twice at once; data changed in between",
        [
            "test_loaders.py::test_every_epoch_has_an_order_of_its_own_and_a_seed_fixes_them_all",
            "test_loaders.py::test_an_epoch_that_was_left_early_does_not_disturb_the_next",
            "test_loaders.py::test_what_was_indexed_stays_what_it_was",
            "test_faults.py::test_two_passes_over_one_loader_at_once_are_two_epochs",
            "test_faults.py::test_images_that_someone_changes_in_between_are_seen_as_they_are_now",
        ],
    ),
    93: (
        "a callback that raises",
        ["test_faults.py::test_what_raises_while_a_run_is_watched_leaves_it_whole"],
    ),
    95: (
        "a loss that becomes nan or explodes",
        [
            "test_loop.py::test_a_rate_that_is_much_too_large_ends_in_a_named_error",
            "test_loop.py::test_a_loss_that_is_no_number_stops_before_the_update",
            "test_checkpoint.py::test_a_loss_a_million_times_the_first_stops_before_its_step",
            "test_resume.py::test_a_run_that_diverges_keeps_its_last_good_state",
            "test_train.py::test_a_diverging_run_ends_with_exit_code_5_and_without_a_model",
        ],
    ),
    96: (
        "a loss that stays at log 10",
        ["test_resume.py::test_a_network_that_answers_every_image_alike_is_warned_of_once"],
    ),
    97: (
        "Ctrl-C once and twice, SIGTERM, SIGHUP, SIGKILL",
        [
            "test_resume.py::test_a_signal_ends_the_update_saves_and_says_how_to_go_on",
            "test_resume.py::test_a_second_signal_stops_at_once_and_the_last_checkpoint_is_whole",
            "test_resume.py::test_a_signal_that_is_ignored_stays_ignored",
            "test_resume.py::test_fifty_kills_at_random_moments_change_no_bit",
            "test_train.py::test_a_signal_before_the_training_ends_it_without_a_traceback",
            "test_compare.py::test_a_signal_keeps_what_is_finished_and_says_how_to_go_on",
            "test_compare.py::test_a_study_that_was_killed_goes_on_where_it_was",
        ],
    ),
    98: (
        "memory that runs out",
        [
            "test_model.py::test_a_full_batch_never_exists_as_floats",
            "test_model.py::test_a_network_that_cannot_be_is_refused",
            "test_faults.py::test_memory_that_runs_out_later_is_an_error_in_two_lines",
        ],
    ),
    99: (
        "a worker of a study that dies",
        [
            "test_compare.py::test_a_trial_whose_worker_always_dies_has_failed_and_the_others_finish",
            "test_compare.py::test_a_trial_whose_worker_dies_once_is_tried_again_and_all_is_well",
            "test_compare.py::test_a_failed_trial_that_works_when_tried_again_leaves_no_trace_in_the_report",
            "test_cluster.py::test_a_cluster_that_loses_a_worker_comes_to_the_results_of_one_machine",
        ],
    ),
    100: (
        "a clock that jumps",
        ["test_faults.py::test_a_time_limit_saves_stops_and_goes_on_whatever_the_wall_clock_does"],
    ),
    101: (
        "no terminal, a poor one, Jupyter, cp1252",
        [
            "test_train.py::test_without_a_terminal_there_is_a_line_for_each_epoch_and_no_bar",
            "test_train.py::test_on_a_terminal_there_is_also_a_bar_that_leaves_nothing_behind",
            "test_train.py::test_a_stream_that_is_closed_or_knows_no_umlaut_is_no_error",
            "test_compare.py::test_a_terminal_shows_a_bar_with_the_time_left",
            "test_faults.py::test_a_poor_terminal_gets_the_same_lines",
        ],
    ),
    102: (
        "a broken matplotlib, a cache it cannot write",
        [
            "test_faults.py::test_a_broken_matplotlib_costs_the_figure_and_nothing_else",
            "test_faults.py::test_a_backend_that_is_none_costs_nothing",
        ],
    ),
    103: (
        "python -O, python -W error",
        [
            "test_rooms.py::test_the_package_raises_and_never_asserts",
            "test_faults.py::test_our_own_warnings_stay_warnings_when_python_makes_errors_of_them",
        ],
    ),
    105: (
        "two runs of one second and one name",
        [
            "test_train.py::test_runs_of_one_second_get_a_folder_each_and_the_same_weights",
            "test_train.py::test_many_processes_at_once_never_share_a_folder",
        ],
    ),
    106: (
        "no file handles left, a full temporary folder",
        [
            "test_checkpoint.py::test_a_save_that_fails_leaves_the_old_checkpoint_and_nothing_else",
            "test_faults.py::test_a_temporary_folder_that_is_not_there_plays_no_part",
            "test_faults.py::test_a_system_without_file_handles_or_quota_keeps_the_old_checkpoint",
        ],
    ),
}
UNCOVERED: dict[int, tuple[str, str]] = {
    71: ("an older format", "format 1 is the first; a second one will have to read it"),
    73: (
        "a random state that is missing, or of another generator",
        "none is saved: random numbers follow from a seed and the number of an epoch",
    ),
    81: (
        "a virus scanner that holds the file (Windows)",
        "only on Windows; a refusal is told, and tried again at the next checkpoint",
    ),
    104: (
        "libraries that are too old",
        "not noticed when it runs: the installer refuses older versions",
    ),
}


def table() -> str:
    """The content of faults.md."""
    rows = {n: (fault, "`" + "`, `".join(tests) + "`") for n, (fault, tests) in COVERED.items()}
    rows |= {n: (fault, f"none: {reason}") for n, (fault, reason) in UNCOVERED.items()}
    lines = [
        "# Faults, and the tests that cover them",
        "",
        f"{len(COVERED)} of {len(rows)} are covered. Made by `python tests/faults.py`.",
        "",
        "| | fault | tests |",
        "| --- | --- | --- |",
        *(f"| {n} | {rows[n][0]} | {rows[n][1]} |" for n in sorted(rows)),
    ]
    return "\n".join(lines) + "\n"


def functions(file: str) -> set[str]:
    """The names of the functions in a file of tests."""
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


if __name__ == "__main__":
    (HERE / "faults.md").write_text(table(), encoding="utf-8")
