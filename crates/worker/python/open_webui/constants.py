"""Names of background tasks, and the texts functions reuse."""

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


class MESSAGES(StrEnum):
    """Texts for successes; some take what they are about."""

    DEFAULT = ""

    @staticmethod
    def MODEL_ADDED(model: str = "") -> str:
        """A model was added."""
        return f"The model '{model}' has been added successfully."

    @staticmethod
    def MODEL_DELETED(model: str = "") -> str:
        """A model was removed."""
        return f"The model '{model}' has been deleted successfully."


class WEBHOOK_MESSAGES(StrEnum):
    """Texts sent to other services."""

    DEFAULT = ""

    @staticmethod
    def USER_SIGNUP(username: str = "") -> str:
        """A user came."""
        return f"New user signed up: {username}" if username else "New user signed up"


class ERROR_MESSAGES(StrEnum):
    """Texts for refusals; `DEFAULT` and some others take what went wrong."""

    ACCESS_PROHIBITED = "You do not have permission to access this resource."
    ACTION_PROHIBITED = "The requested action has been restricted as a security measure."
    API_KEY_NOT_FOUND = "An API key is needed for this; none was found."
    EMPTY_CONTENT = "The content is empty. Please provide text or data."
    FILE_NOT_PROCESSED = "The file has no extracted content yet."
    FILE_NOT_SENT = "No file was sent."
    INVALID_TOKEN = "The session has expired or the token is invalid. Please sign in again."
    MODEL_NOT_FOUND = "Model not found"
    NOT_FOUND = "We could not find what you're looking for :/"
    RATE_LIMIT_EXCEEDED = "API rate limit exceeded"
    UNAUTHORIZED = "401 Unauthorized"
    USER_NOT_FOUND = "We could not find that user."
    WEB_SEARCH_ERROR = "The web search failed."

    @staticmethod
    def DEFAULT(err: object = "") -> str:
        """Any failure."""
        return f"[ERROR: {err}]" if err else "Something went wrong :/"

    @staticmethod
    def OPENAI_NOT_FOUND(name: str = "") -> str:
        """No model server."""
        return "OpenAI API was not found"

    @staticmethod
    def OLLAMA_NOT_FOUND(name: str = "") -> str:
        """No Ollama server."""
        return "Ollama was not found"
