"""What the workbench's pages are made of, without a browser."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from nicegui import Client, ui
from nicegui.page import page

from submarine_ray.workbench import parts


def test_a_question_whose_page_is_left_is_not_answered() -> None:
    async def leave() -> object:
        client = Client(page(""))
        with client:
            dialog = ui.dialog()
            asked = asyncio.create_task(parts.answered(dialog))
            await asyncio.sleep(0)
            client.delete()
            return await asked

    with ThreadPoolExecutor(1) as thread:  # where no browser has a loop
        assert thread.submit(asyncio.run, leave()).result() is None
