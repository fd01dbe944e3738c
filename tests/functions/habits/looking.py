"""
title: Looks at itself
"""

import inspect
import os
import traceback


class Filter:
    def inlet(self, body):
        body["messages"][-1]["content"] = "|".join([self.caller(), self.source(), self.lines(), self.file()])
        return body

    def caller(self):
        return inspect.currentframe().f_back.f_code.co_name + " " + inspect.stack()[1].function

    def source(self):
        return inspect.getsource(type(self)).splitlines()[0] + inspect.getsource(self.caller).splitlines()[0]

    def lines(self):
        try:
            raise ValueError("on purpose")
        except ValueError:
            return str('raise ValueError("on purpose")' in traceback.format_exc())

    def file(self):
        return str(os.path.isfile(__file__)) + __name__
