# What people read. A <value> is filled in by the rule, {failureReason} by the notify function.

locals {
  policies = {
    block      = "Nothing is predicted from this batch (policy: block)."
    quarantine = "Rows that break a constraint are set aside, the others are predicted (policy: quarantine)."
    predict    = "The whole batch is predicted all the same (policy: predict)."
  }
  steps_of_run = "aws sagemaker list-pipeline-execution-steps --pipeline-execution-arn <run>"

  texts = {
    drift = <<-EOT
      The batch checked at <time> differs from the data the model was trained on.

      Run: <run>
      Why: {failureReason}

      What happens by itself: ${local.policies[var.monitoring.on_violation]} The pipeline ${var.train_pipeline.name} is started. It trains only if there is labelled data no version has seen, no version waits for approval, and none was trained within ${var.train_pipeline.cool_down_days} days; a new version then waits for the approver, who is told.

      What next: see which features differ, in constraint_violations.json of the run's monitoring output under s3://${var.default_bucket}/${var.model_name}/executions/. If the batch is wrong, have it corrected and run it again:
        mammo-mlops run --environment ${var.env_group} --only 50
      If the world has changed, bring labelled data of it to s3://${var.default_bucket}/${var.model_name}/data/train-dataset/.

      While batches go on drifting you are told once a week.
    EOT

    inference_failed = <<-EOT
      The step <step> of the inference pipeline failed at <time>; this batch is not predicted. It is not drift, so nothing is retrained.

      Run: <run>
      Why: {failureReason}

      What next: see the run's steps, remove the cause, and run it again:
        ${local.steps_of_run}
        mammo-mlops run --environment ${var.env_group} --only 50
    EOT

    training_failed = <<-EOT
      The training pipeline ${var.train_pipeline.name} failed at <time>; no new version was registered. Predictions go on with the newest approved version.

      Run: <run>
      Why: {failureReason}

      What next: see the run's steps, remove the cause, and train again:
        ${local.steps_of_run}
        mammo-mlops run --environment ${var.env_group} --only 30
    EOT

    deadline = <<-EOT
      By the deadline, <time>, no run of the inference pipeline ${var.inference_pipeline.name} had succeeded in the last 24 hours: there are no predictions for today.

      What next: see whether runs were started and how they ended, look for dead letters, and run it by hand:
        aws sagemaker list-pipeline-executions --pipeline-name ${var.inference_pipeline.name}
        mammo-mlops run --environment ${var.env_group} --only 60
        mammo-mlops run --environment ${var.env_group} --only 50

      While no run succeeds you are told once a week.
    EOT
  }
}
