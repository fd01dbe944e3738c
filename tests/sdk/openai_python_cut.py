"""The openai package, unmodified, while the model server breaks off at every byte: every answer raises."""

import os

import openai

LENGTH, STEP = int(os.environ["LENGTH"]), int(os.environ["STEP"])


def main():
    client = openai.OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], max_retries=0, timeout=20)
    for place in range(0, LENGTH, STEP):
        messages = [{"role": "user", "content": str(place)}]
        try:
            chunks = list(client.chat.completions.create(model="echo", messages=messages, stream=True))
        except openai.APIError:
            continue
        raise AssertionError(f"an answer cut at byte {place} of {LENGTH} did not raise: {chunks}")
    messages = [{"role": "user", "content": str(LENGTH)}]
    assert list(client.chat.completions.create(model="echo", messages=messages, stream=True)), "the whole one passes"


main()
