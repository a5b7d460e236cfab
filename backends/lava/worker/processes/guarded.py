"""Guarded: a process model that says why it failed; Lava alone would wait for it for ever."""

from __future__ import annotations

import os
import sys
import traceback

from lava.magma.core.model.py.model import PyLoihiProcessModel


class Guarded(PyLoihiProcessModel):
    """Calls ``step`` once in every time step.

    If that fails, the file ``error_file`` of the process parameters says so: the process's name
    in the first line, then the traceback. Without such a file, standard error says it.
    """

    def run_spk(self) -> None:
        """One time step."""
        try:
            self.step()
        except BaseException:
            self._report()
            raise

    def step(self) -> None:
        """Receive once from every in-port and send once to every out-port."""
        raise NotImplementedError

    def _report(self) -> None:
        path = self.proc_params.get("error_file")
        text = f"{self.proc_params['name']}\n{traceback.format_exc()}"
        if path is None:
            print(f"{text}\nThe run waits for ever: interrupt it.", file=sys.stderr, flush=True)
            return
        beside = f"{path}.{os.getpid()}"
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
