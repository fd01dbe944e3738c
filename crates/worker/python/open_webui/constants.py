"""Names of background tasks, and the error texts functions reuse."""

from enum import StrEnum


class TASKS(StrEnum):
    """What a background request to a model is for; `__task__` holds one of these."""

    DEFAULT = "default"
    TITLE_GENERATION = "title_generation"
    FOLLOW_UP_GENERATION = "follow_up_generation"
    TAGS_GENERATION = "tags_generation"
    EMOJI_GENERATION = "emoji_generation"
    QUERY_GENERATION = "query_generation"
    IMAGE_PROMPT_GENERATION = "image_prompt_generation"
    AUTOCOMPLETE_GENERATION = "autocomplete_generation"
    FUNCTION_CALLING = "function_calling"
    MOA_RESPONSE_GENERATION = "moa_response_generation"


class ERROR_MESSAGES(StrEnum):
    """Texts for refusals."""

    ACCESS_PROHIBITED = "You do not have permission to access this resource."
    MODEL_NOT_FOUND = "Model not found"
    NOT_FOUND = "We could not find what you're looking for :/"
    UNAUTHORIZED = "401 Unauthorized"
