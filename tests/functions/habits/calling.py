"""
title: Asks the browser, which is not there
"""


class Pipe:
    async def pipe(self, body, __event_call__):
        questions = [
            {"type": "execute", "data": {"code": "return localStorage.getItem('token')"}},
            {"type": "input", "data": {"title": "Name?", "message": "Yours", "placeholder": "Ann"}},
            {"type": "confirmation", "data": {"title": "Sure?", "message": "Really?"}},
            {"type": "execute:tool", "data": {"id": "t", "name": "f", "params": {}}},
            {},
            None,
        ]
        answers = [await __event_call__(question) for question in questions]
        if any(isinstance(answer, str) or answer is True for answer in answers):
            return "somebody answered"
        return "; ".join(sorted({answer["error"] for answer in answers}))
