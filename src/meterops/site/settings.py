"""Django settings, read from the environment once.

Every setting an operator may change is an environment variable named `METEROPS_*` and listed in docs/reference/settings.md.
The embedded default needs none of them: state in `<data>/state.sqlite3`, the lake in `<data>/lake`, secrets in `<data>/secrets`.
"""

import os
from pathlib import Path

from csp.constants import NONE, SELF

from meterops.site.environment import data_folder, database, secret_key

DATA_DIR = data_folder()

SECRET_KEY = secret_key(DATA_DIR)
DEBUG = False
ALLOWED_HOSTS = os.environ.get("METEROPS_HOSTS", "127.0.0.1,localhost,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [origin for origin in os.environ.get("METEROPS_ORIGINS", "").split(",") if origin]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "csp",
    "meterops.kernel",
    "meterops.fleet.inventory",
    "meterops.fleet.credentials",
    "meterops.fleet.headend",
    "meterops.practices.events",
    "meterops.practices.incidents",
    "meterops.interfaces.rest",
    "meterops.interfaces.console",
    "meterops.site",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "meterops.site.urls"
ASGI_APPLICATION = "meterops.site.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "meterops.interfaces.console.context.shell",
            ],
        },
    },
]

DATABASES = {"default": database(DATA_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = os.environ.get("METEROPS_HTTPS", "") == "1"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "worker-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    },
}

LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = os.environ.get("METEROPS_TIME_ZONE", "Europe/Amsterdam")

STATIC_URL = "/static/"
STATIC_ROOT = None
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("METEROPS_LOG_LEVEL", "WARNING")},
}

METEROPS_LAKE = os.environ.get("METEROPS_LAKE", str(DATA_DIR / "lake"))
METEROPS_LAKE_CATALOG = os.environ.get("METEROPS_LAKE_CATALOG", "")
METEROPS_MASTER_KEY_FILE = Path(os.environ.get("METEROPS_MASTER_KEY_FILE", DATA_DIR / "secrets" / "master.key"))
METEROPS_SYSTEM_TITLE = bytes.fromhex(os.environ.get("METEROPS_SYSTEM_TITLE", "4d4f500000000001"))
"""The head-end's own system title, 8 octets. Meters see it; with a key and a counter it makes the nonce of every APDU we send."""
