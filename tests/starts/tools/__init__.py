"""Programs that other people's tools start; the tox environment `starts` has the tools."""
