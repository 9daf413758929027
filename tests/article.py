"""Which test shows each part of the article working, and how many steps by hand are left: a table for whoever asks whether it is all there."""

import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from mammo_mlops.reports.pages import Table, index_page, write_text


@dataclass(frozen=True)
class Outcome:
    """What came of a test, all its parameters together."""

    passed: int
    failed: int
    skipped: int
    seconds: float


def read_outcomes(
    path: Path,  # JUnit XML, as pytest writes it; may be absent
) -> dict[str, Outcome]:
    """Outcomes by file::test; none where there is no file. Error: ParseError where it is no XML."""
    found: dict[str, Outcome] = {}
    for case in ElementTree.parse(path).iter("testcase") if path.is_file() else ():
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').partition('[')[0]}"
        before = found.get(name, Outcome(0, 0, 0, 0.0))
        failed, skipped = any(case.find(kind) is not None for kind in ("failure", "error")), case.find("skipped") is not None
        seconds = before.seconds + float(case.get("time", 0))
        found[name] = Outcome(before.passed + (not failed and not skipped), before.failed + failed, before.skipped + (skipped and not failed), seconds)
    return found


@dataclass(frozen=True)
class Part:
    """One thing that the article describes."""

    number: int
    text: str
    shown_by: tuple[str, ...]  # Tests, as file::test without tests/test_ and test_


DRIFT = (
    Part(1, "data drift is dealt with", ("inference_pipeline::a_batch_gone_wrong_raises_the_alarm_under_every_policy", "production_side::drift_with_new_data_trains_once_although_its_event_repeats_and_comes_late")),
    Part(2, "model performance is monitored", ("inference_pipeline::labels_that_arrive_later_say_whether_the_predictions_were_right",)),
    Part(3, "automatic retraining", ("production_side::drift_with_new_data_trains_once_although_its_event_repeats_and_comes_late", "production_side::drift_without_new_data_mails_once_and_trains_nothing", "functions::one_drift_event_delivered_six_times_trains_once")),
    Part(4, "model approval", ("training_side::dev_may_not_approve_and_the_approver_may", "training_side::nobody_approves_by_the_back_door")),
    Part(5, "models in a secure environment", ("training_side::patients_rows_stay_in_the_own_bucket_and_outputs_are_encrypted", "inference_pipeline::outputs_lie_under_their_execution_and_are_encrypted_with_the_accounts_key", "accounts::dev_neither_overwrites_nor_deletes_prods_artifacts", "accounts::a_bucket_refuses_other_encryption_and_uses_its_accounts_key", "terraform::checkov_finds_nothing_and_each_skip_is_argued")),
    Part(6, "dev and prod accounts", ("sandbox_accounts::every_profile_is_its_own_account", "environment::dev_may_not_act_in_prod")),
    Part(7, "central registry account", ("sandbox_accounts::accounts_do_not_see_each_other", "sandbox_registry::with_the_groups_policy_dev_registers_immutable_versions")),
)

DELIVERY = (
    Part(8, "notebooks run in dev as a Studio user", ("demo::the_demo_tells_the_whole_story_and_leaves_no_process",)),
    Part(9, "a merge to an environment's branch deploys to it", ("jenkinsfile::a_merge_to_dev_deploys_without_asking", "jenkinsfile::a_pull_request_is_verified_and_planned_and_says_what_a_merge_changes")),
    Part(10, "Jenkins job from SCM, parameter prodAccount", ("jenkinsfile::a_merge_to_main_is_deployed_once_an_approver_says_yes", "jenkinsfile::wrong_input_fails_before_anything_is_planned", "jenkins/controller::the_job_renders_as_a_multibranch_job_of_branches_and_pull_requests")),
    Part(11, "Jenkins plugins and log group", ("jenkins/controller::every_plugin_is_pinned_and_those_that_the_jenkinsfile_uses_are_there", "jenkins/controller::logs_go_to_the_group_of_the_registry_file")),
    Part(12, "inference daily at 23:00", ("production_side::a_clean_batch_is_predicted_and_nobody_is_mailed",)),
    Part(13, "a batch is checked before it is predicted", ("inference_pipeline::a_batch_gone_wrong_raises_the_alarm_under_every_policy",)),
    Part(14, "drift, and only drift, starts training", ("terraform::each_event_is_matched_by_the_rule_it_is_for_and_no_other", "production_side::a_lost_permission_mails_and_trains_nothing", "production_side::a_timeout_and_a_bug_mail_and_train_nothing")),
    Part(15, "training registers centrally", ("training_side::a_run_trains_registers_and_reports",)),
    Part(16, "the approver approves", ("sandbox_registry::the_approver_approves_and_is_recorded",)),
    Part(17, "a Lambda step finds the latest approved version", ("functions::the_version_that_was_approved_last_is_used_in_every_account",)),
    Part(18, "the next scheduled run uses it", ("production_side::the_approved_version_predicts_the_next_night",)),
    Part(19, "schedule and failure rules by Terraform", ("terraform::the_account_holds_what_the_files_say", "terraform::a_second_plan_changes_nothing")),
    Part(20, "topic and mail by Terraform", ("production_side::a_training_that_fails_mails", "production_side::a_batch_that_can_not_be_read_mails_once_and_trains_nothing")),
)

ACCOUNTS = (
    Part(21, "keys in dev and prod, and their grant", ("accounts::a_key_decrypts_for_those_who_need_it",)),
    Part(22, "central artifact bucket and its policy", ("accounts::only_the_pipelines_write_and_only_under_their_own_name", "accounts::a_bucket_answers_over_tls_only", "sandbox_accounts::buckets_are_made_as_the_design_says")),
    Part(23, "package group and its resource policy", ("sandbox_registry::a_policy_for_dev_does_not_open_the_group_to_prod", "accounts::nobody_but_the_approver_approves", "accounts::jenkins_does_not_change_who_may_register")),
    Part(24, "role of the Lambda functions", ("sandbox_accounts::a_function_really_runs_in_its_role",)),
    Part(25, "SageMaker's execution roles", ("accounts::sagemaker_takes_a_role_for_its_own_account_alone", "accounts::a_pipeline_of_dev_does_not_run_in_a_role_of_prod", "sandbox_pipelines::what_the_role_may_not_do_fails_the_step")),
    Part(26, "Jenkins' cross-account role", ("environment::jenkins_assumes_its_role_in_every_account", "sandbox_accounts::jenkins_has_the_rights_it_needs_and_no_more", "accounts::studio_does_not_become_jenkins")),
    Part(27, "Terraform's state bucket", ("terraform::the_state_is_encrypted_with_the_accounts_key_and_not_left_locked", "terraform::of_two_applies_at_once_one_is_refused_and_changes_nothing")),
    Part(28, "four data sets", ("training_side::a_run_trains_registers_and_reports", "inference_pipeline::the_two_batches_by_one_call_each")),
    Part(29, "layout of the bucket", ("training_side::patients_rows_stay_in_the_own_bucket_and_outputs_are_encrypted",)),
    Part(30, "preprocess, train, evaluate, AUC gate", ("training_side::the_features_and_hyperparameters_hold_on_the_full_data", "training_side::a_version_below_the_gate_fails_the_run_and_the_report_shows_it")),
    Part(31, "command run-pipeline", ("training_side::run_pipeline_upserts_starts_and_follows",)),
    Part(32, "one file per environment", ("terraform::every_key_of_an_environment_file_is_declared",)),
    Part(33, "walk-through notebook", ("training_side::every_notebook_has_its_page_without_library_code_and_without_rows_of_patients",)),
    Part(34, "test with the clean batch", ("inference_pipeline::the_two_batches_by_one_call_each",)),
    Part(35, "test with the outlier batch", ("inference_pipeline::the_two_batches_by_one_call_each", "demo::the_demo_tells_the_whole_story_and_leaves_no_process")),
    Part(36, "data URL as a parameter", ("sandbox_events::a_rule_starts_a_pipeline_in_its_role_with_parameters",)),
    Part(37, "clean-up", ("terraform::destroy_leaves_nothing", "accounts::data_is_not_deleted_unasked_and_then_the_account_is_empty", "demo::the_demo_tells_the_whole_story_and_leaves_no_process")),
    Part(38, "own data and framework", ("second_data_set::it_trains_is_registered_predicts_and_drifts", "foreign_definition::it_trains_and_registers_in_the_account_it_names")),
)
PARTS = DRIFT + DELIVERY + ACCOUNTS


def node_id(
    name: str,  # As in `Part.shown_by`
) -> str:
    """The test as pytest takes it."""
    file, _, test = name.partition("::")
    folder, _, file = file.rpartition("/")
    return f"tests/{f'{folder}/' if folder else ''}test_{file}.py::test_{test}"


def result_of(
    part: Part,
    outcomes: dict[str, Outcome],
) -> str:
    """works, fails or not run."""
    own = [outcomes.get(node_id(name), Outcome(0, 0, 0, 0.0)) for name in part.shown_by]
    if any(outcome.failed for outcome in own):
        return "fails"
    return "works" if all(outcome.passed and not outcome.skipped for outcome in own) else "not run"


def parts_table(
    outcomes: dict[str, Outcome],
) -> Table:
    """One row per part."""
    rows = []
    for part in PARTS:
        seconds = sum((outcomes[node_id(name)].seconds for name in part.shown_by if node_id(name) in outcomes), 0.0)
        rows.append((str(part.number), part.text, "\n".join(node_id(name) for name in part.shown_by), result_of(part, outcomes), seconds))
    return Table("Every part of the article", ("", "part", "shown by", "result", "seconds"), rows)


@dataclass(frozen=True)
class Section:
    """A section of the article, and what takes its place."""

    title: str
    accounts: int  # In how many accounts each step is done
    steps: tuple[str, ...]
    commands: tuple[str, ...]
    by_hand: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """The article's steps."""
        return self.accounts * len(self.steps)

MADE_BY_TERRAFORM = (
    Section("A key in dev, which prod may use", 1, ("open the customer managed keys", "create a key", "symmetric", "encrypt and decrypt", "next", "enter prod's account number", "next and finish"), ("mammo-mlops accounts apply --environment dev",)),
    Section("A key in prod", 1, ("open the customer managed keys", "create a key", "symmetric", "encrypt and decrypt", "next", "finish"), ("mammo-mlops accounts apply --environment prod",)),
    Section("The registry's bucket", 1, ("make the bucket", "write its policy"), ("mammo-mlops accounts apply --environment registry",)),
    Section("Role of the Lambda functions", 2, ("make the role", "write the registry policy", "attach AmazonSageMakerFullAccess", "attach AWSLambda_FullAccess", "write the trust policy"), ()),
    Section("SageMaker's execution role", 2, ("write the bucket policy", "write the registry policy", "write the key policy", "attach AmazonSageMakerFullAccess", "attach AWSLambda_FullAccess", "attach CloudWatchEventsFullAccess"), ()),
    Section("Jenkins' role in prod", 1, ("make the role", *(f"attach {name}FullAccess" for name in ("CloudWatch", "AmazonS3", "AmazonSNS", "AmazonSageMaker", "AmazonEventBridge", "AWSLambda_")), "write the trust policy"), ()),
    Section("Jenkins' own role", 1, ("write the policy to assume prod's role", "attach CloudWatchFullAccess"), ("mammo-mlops accounts apply --environment jenkins",)),
    Section("Model package group", 1, ("make the group by a snippet", "put its policy by a snippet"), ()),
    Section("Buckets of dev, prod and Terraform's state", 1, ("make dev's bucket", "make prod's bucket", "make the state's bucket"), ()),
)

JENKINS = Section(
    "Jenkins", 1,
    ("make the log group", "install five plugins", "store credentials of the cross-account role", "open AWS in the system's configuration", "enter credentials and log group",
     "store GitHub's credentials", "make a project", "name it and choose Pipeline", "enter the GitHub project", "say that it has parameters", "add a string parameter", "name it prodAccount",
     "enter its default", "choose Pipeline script from SCM", "choose Git", "enter the repository", "choose its credentials", "enter the branch", "enter the script's path", "save"),
    ("make jenkins", "docker build", "docker run", "amazon-cloudwatch-agent-ctl", "curl agent.jar", "java -jar agent.jar"),
    ("register the GitHub App with its webhook", "put seven secrets into files"),
)
MODELS = (
    Section("Data", 1, ("download the data", "fork and clone the repository", "copy the data into its folder", "run the split", "upload to dev by a snippet", "upload the training parts to prod", "upload the batches to prod"), ("mammo-mlops run --environment dev",), ("fork and clone the repository",)),
    Section("Training in dev", 1, ("upload the scripts by a snippet", "build the pipeline by a snippet", "start it by a snippet"), ()),
    Section("Approval", 1, ("log in to the registry account and change the version's status",), ("mammo-mlops approve --version 1 --reason evidence",)),
    Section("Inference in dev", 1, ("upload the script by a snippet", "build the pipeline by a snippet", "start it by a snippet"), ("mammo-mlops test-batch --environment dev --batch clean",)),
    Section("Promotion to prod", 1, ("fill in prod.tfvars.json", "push and merge", "start a build with parameters", "confirm the mail's subscription"), ("git merge", "mammo-mlops terraform plan --environment registry", "mammo-mlops terraform apply --environment registry"), ("fill in the environment files", "say yes to the plan", "confirm the mail's subscription")),
    Section("Tests in prod, and the next version", 1, ("start inference on the clean batch", "start inference on the outlier batch", "approve the new version"), ("mammo-mlops test-batch --environment prod --batch clean", "mammo-mlops test-batch --environment prod --batch outliers", "mammo-mlops approve --version 2 --reason evidence")),
    Section("Clean-up", 1, ("delete the Studio domains", "delete every other resource", "delete the pipelines by the AWS CLI"), tuple(f"mammo-mlops accounts destroy --environment {name}" for name in ("prod", "dev", "registry", "jenkins")), ("delete the Studio domains",)),
)
SECTIONS = (*MADE_BY_TERRAFORM, JENKINS, *MODELS)


def steps_table() -> Table:
    """One row per section, the sum last."""
    rows = [(s.title, str(s.count), str(len(s.commands)), str(len(s.by_hand)), "\n".join((*s.commands, *(f"by hand: {text}" for text in s.by_hand)))) for s in SECTIONS]
    total = (sum(s.count for s in SECTIONS), sum(len(s.commands) for s in SECTIONS), sum(len(s.by_hand) for s in SECTIONS))
    return Table("Steps of the article, and commands here", ("section", "steps by hand in the article", "commands here", "steps by hand here", "which"), [*rows, ("all together", *map(str, total), "")])


def write_article(
    record: Path,  # JUnit XML of a test run
    page: Path,  # To write
) -> bool:
    """Write the page; whether no part fails."""
    outcomes = read_outcomes(record)
    results = [result_of(part, outcomes) for part in PARTS]
    failing = [str(part.number) for part, result in zip(PARTS, results) if result == "fails"]
    verdict = f"{results.count('works')} of {len(PARTS)} parts work; {results.count('not run')} were not run." + (f" Failing: {', '.join(failing)}." if failing else "")
    tables = [parts_table(outcomes), steps_table()]
    write_text(page, index_page("The article, row by row", "What the last test run showed", verdict, "failed" if failing else "", [], tables))
    return not failing


if __name__ == "__main__":
    reports = Path(__file__).parent.parent / "reports"
    works = write_article(reports / "tests.xml", reports / "article.html")
    print(f"Every part of the article: {reports / 'article.html'}")
    sys.exit(0 if works else 1)
