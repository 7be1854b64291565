from django.apps import AppConfig


class SubjectsConfig(AppConfig):
    name = "ledger.subjects"
    label = "subjects"
    verbose_name = "Data subjects"
