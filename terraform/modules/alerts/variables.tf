variable "name" {
  description = "What the names of everything here begin with."
  type        = string
}

variable "account_id" {
  description = "The account everything is in."
  type        = string
}

variable "aws_region" {
  description = "The region everything is in."
  type        = string
}

variable "event_bus_name" {
  description = "The bus of the rules that match events; schedules are always on the default bus."
  type        = string
}

variable "topic_name" {
  description = "Name of the topic."
  type        = string
}

variable "email" {
  description = "Who is told; the address has to confirm its subscription once."
  type        = string
}

variable "notices" {
  description = "What is told: for each name the events it is about, and the text. {failureReason} in the text is filled from the event."
  type = map(object({
    description         = string
    event_pattern       = optional(string)          # JSON
    schedule_expression = optional(string)          # In place of a pattern; UTC
    values              = optional(map(string), {}) # Name of each <value> in the text beside <time>: its path in the event
    subject             = string                    # ASCII; 100 characters at most
    message             = string
    key                 = string # Events with the same key are told once
    once_per            = optional(string, "event")
    pipeline            = optional(string) # ARN; whose successes end a streak
    kind                = optional(string)
    hours               = optional(number)
  }))

  validation {
    condition     = alltrue([for notice in values(var.notices) : (notice.event_pattern == null) != (notice.schedule_expression == null)])
    error_message = "notices: each has either an event_pattern or a schedule_expression."
  }
  validation {
    condition     = alltrue([for notice in values(var.notices) : contains(["event", "streak"], notice.once_per)])
    error_message = "notices: once_per is event or streak."
  }
}

variable "notify_package" {
  description = "Path of the zip archive with the notify function's code, notify.py."
  type        = string
}

variable "lambda_role" {
  description = "ARN of the role the notify function runs as."
  type        = string
}

variable "notes" {
  description = "Where the notify function notes what it has told, so that a repeated event is told once; kms_key is the bucket's key, by alias."
  type = object({
    bucket  = string
    prefix  = string
    kms_key = string
  })
}

variable "followed_pipelines" {
  description = "ARNs of the pipelines whose executions and steps the notify function may list."
  type        = list(string)
  default     = []
}
