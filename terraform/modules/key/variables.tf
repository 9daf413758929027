variable "account_id" {
  description = "The key's account, which administers it and says by its own policies which of its roles use it."
  type        = string
}

variable "alias" {
  description = "The key's alias, such as alias/mammo-severity."
  type        = string
}

variable "description" {
  description = "What the key is for."
  type        = string
}

variable "policies" {
  description = "Policy documents, as JSON: who else may use the key."
  type        = list(string)
  default     = []
}
