"""What left the box: every use of a connection, what the days came to, and what is left of today's budget."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentbox.page import forms
from agentbox.page.chart import charts
from agentbox.page.paging import PAGE, begin_of, days_until, page_of, place_of, today
from agentbox.page.render import Pages

DAYS = 31

MOST_ROWS = 1000
"""Of days and backends."""


async def show(request: Request) -> Response:
    asker, device = await forms.asked_by(request)
    before = request.query_params.get("before", "")
    uses, older = page_of(await asker.call("egress.list", limit=PAGE + 1, **place_of(before)))
    budget = await asker.call("egress.budget")
    days = days_until(today(), DAYS)
    sums = await asker.call("egress.days", limit=MOST_ROWS, since=begin_of(days[0]))
    pages: Pages = request.app.state.pages
    return pages.show(
        request,
        "egress.html",
        device=device,
        uses=uses,
        older=older,
        newest=not before,
        budget=budget,
        sums=sums,
        days=days,
        charts=charts(sums, [day.isoformat() for day in days]),
    )


ROUTES = [Route("/egress", show)]
