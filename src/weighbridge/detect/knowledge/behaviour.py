"""Knows what Python calls do, as far as harm is made of it: where data comes from, where it goes.

Labels: N bytes of the network, K what lies where keys, wallets and browsers' stores do, k what else proves who somebody is,
p private keys by the names of parameters, F files that are looked for, C what a command prints, A what is handed to a function that was replaced, Q what a request to a server carries, M the content of pictures and sounds, D decoded or decrypted, E the environment as a whole, V single variables of it, H who and where the host is.
What characters are put together from (d), or bytes (b), is decoded data where it is run at once; many libraries do so on their way to other things.
Sinks: X runs code, P starts a process, S sends, W writes a file, L unpickles.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from weighbridge.schema.patterns import lazy

_SOURCES: Final = (
    ("N", lazy(
        r"(?:<message>|urllib\.request\.(?:urlopen|urlretrieve)|urllib2\.urlopen|urlopen|urlretrieve|(?:requests|httpx|niquests|cloudscraper|curl_cffi\.requests)\.(?:get|post|request|put|Session\(\)\.\w+|Client\(\)\.\w+|session\(\)\.\w+|stream)"
        r"|requests\.Session|httpx\.(?:Async)?Client|aiohttp\.\w+(?:\(\)\.\w+)?|asyncio\.open_(?:unix_)?connection|http\.client\.HTTPS?Connection(?:\(\)\.\w+)?|urllib3\.\w+(?:\(\)\.\w+)?|wget\.download|pycurl\.\w+|socket\.(?:socket|create_connection)\(\)\.(?:recv\w*|makefile)|\w*(?:sock|conn|client|s)\.recv|ftplib\.\w+|dns\.resolver\.\w+|paramiko\.\w+|gdown\.\w+|xmlrpc\.client\.ServerProxy(?:\(\)\.\w+)?|(?:imaplib|poplib|nntplib)\.\w+(?:\(\)\.\w+)?|redis\.(?:Redis|StrictRedis|from_url)(?:\(\)\.\w+)?|boto3\.client\(\)\.get_object|[\w.]+\.functions\.\w+\(?\)?\.call)\Z"
    )),
    ("D", lazy(
        r"(?:<numbers>|base64\.\w*decode\w*|codecs\.decode|(?:zlib|gzip|lzma|bz2|brotli|lz4\.\w+|zstandard)\.decompress|(?:builtins\.)?(?:bytes|bytearray)\.fromhex|\w*\.fromhex|binascii\.(?:unhexlify|a2b_\w+)|marshal\.loads|(?:cryptography\.fernet\.)?Fernet(?:\(\))?(?:\.decrypt)?|\w*(?:cipher|fernet|aes|rsa|box|suite|decryptor|[Cc]rypt\w*)\.(?:decrypt|update)|\w+\.decrypt|decrypt\w*|\?\.decrypt|[\w.]+\(\)\.decrypt|(?:str|bytes)\.translate|rot13|xor\w*|\w*deobfuscat\w*)\Z"
    )),
    ("M", lazy(r"open\(media\)\Z|(?:PIL\.)?Image\.open\Z|wave\.open\Z|imageio\.\w*read\Z|cv2\.imread\Z|scipy\.io\.wavfile\.read\Z|soundfile\.read\Z|stegano\.[\w.]+\.reveal\Z")),
    ("d", lazy(r"(?:builtins\.)?chr\Z")),
    ("b", lazy(r"(?:builtins\.)?(?:bytes|bytearray)\Z|struct\.pack\Z|int\.to_bytes\Z|uuid\.UUID\Z")),
    ("p", lazy(r"<key>\Z")),
    ("C", lazy(r"subprocess\.(?:check_output|getoutput|getstatusoutput|run|Popen\(\)\.communicate)\Z|os\.popen\Z|commands\.getoutput\Z")),
    ("K", lazy(r"<secrets>\Z|browser_cookie3\.\w+\Z|win32crypt\.CryptUnprotectData\Z|win32cred\.CredRead\w*\Z")),
    ("k", lazy(r"<credentials>\Z|keyring\.get_password\Z|huggingface_hub\.(?:HfFolder\.)?get_token\Z|[\w.()?]*\.get_frozen_credentials\Z|django\.conf\.settings\.(?:SECRET_KEY|DATABASES)")),
    # Who replaces a function of a client has a request in hand, and sends it on.
    ("A", lazy(r"<patched> (?!(?:requests|httpx|urllib\d?|aiohttp|http|socket|ssl|asyncio|smtplib|ftplib|websocket\w*|grpc|botocore|boto3|niquests|paramiko)\b)")),
    ("F", lazy(r"os\.(?:walk|listdir|scandir)\Z|glob\.i?glob\Z|[\w.()?]*\.r?glob\Z")),
    ("Q", lazy(r"(?:flask\.|self\.)?request\.(?:args|form|values|headers|json|data|cookies|GET|POST|META|body|query_params|get_json|get_data|query|rel_url|text)\b|flask\.request(?:<value>)?\Z")),
    ("E", lazy(r"os\.environ\Z|os\.environ\.(?:copy|items|values)\Z|os\.environb\Z")),
    ("V", lazy(r"os\.environ\[\]\Z|os\.environ\.get\Z|os\.getenv\Z")),
    ("H", lazy(
        r"(?:socket\.(?:gethostname|getfqdn)|platform\.(?:node|uname)|getpass\.getuser|os\.(?:getlogin|uname)|uuid\.getnode|pwd\.getpwuid)\Z"
    )),
)  # fmt: skip
WEAK: Final = "db"
_SINKS: Final = (
    ("X", lazy(r"(?:builtins\.)?(?:exec|eval|execfile)\Z|types\.FunctionType\Z|runpy\.\w+\Z|code\.InteractiveInterpreter\Z|[\w.()]*\.run(?:code|source)\Z|timeit\.(?:timeit|repeat|Timer)\Z|(?:cProfile|profile|pdb|trace)\.run\w*\Z|importlib\.util\.exec_module\Z|[\w.]*\.exec_module\Z|imp\.load_\w+\Z|ctypes\.(?:CFUNCTYPE|CDLL|cdll\.LoadLibrary|WinDLL)\Z")),
    ("P", lazy(
        r"(?:os\.(?:system|popen\d?|exec[lv]\w*|spawn\w+|startfile|posix_spawn\w*)|subprocess\.(?:run|call|check_call|check_output|Popen|getoutput|getstatusoutput)|pty\.spawn|commands\.getoutput|asyncio\.create_subprocess_\w+|(?:distutils|setuptools)\.spawn\.\w+|pexpect\.spawn|subprocess\.Popen\(\)\.(?:communicate|stdin\.write)|win32api\.ShellExecute|ctypes\.(?:CDLL|PyDLL|cdll\.LoadLibrary)\(\)\.(?:system|popen|exec\w+)|[\w.]*\.?dlopen\(\)\.(?:system|popen)|ctypes\.windll\.shell32\.ShellExecute\w)\Z"
    )),
    ("S", lazy(
        r"(?:(?:requests|httpx|niquests|cloudscraper)\.(?:post|put|patch|get|request|Session\(\)\.\w+|session\(\)\.\w+|Client\(\)\.\w+)|(?:urllib\.request\.|urllib2\.)?(?:urlopen|Request)|urllib\.request\.urlretrieve|aiohttp\.ClientSession\(\)\.\w+|http\.client\.HTTPS?Connection\(\)\.request|\w*(?:session|client|conn|connection|sock|s|ws)\.(?:post|put|request|sendall|send|sendto|sendmail)|[\w.]+\(\)\.(?:sendall|sendto|sendmail|storbinary)|urllib3\.PoolManager\(\)\.request|\w*http\.request|smtplib\.\w+|ftplib\.\w+|dhooks\.\w+|discord_webhook\.\w+|socket\.(?:gethostbyname|getaddrinfo)|webbrowser\.open|telebot\.\w+|websocket\.create_connection)\Z"
    )),
    ("W", lazy(r"[\w.?()]*\.(?:write|write_bytes|write_text|writelines)\Z|shutil\.(?:copyfileobj|move|copy\w*|unpack_archive)\Z|[\w.?()]*\.extractall\Z|(?:urllib\.request\.)?urlretrieve\Z|wget\.download\Z|os\.write\Z|gdown\.download\Z")),
    ("L", lazy(r"(?:pickle|_pickle|cPickle|cloudpickle|dill|joblib|torch|shelve|pandas)\.(?:loads?|Unpickler|open|read_pickle)\Z|jsonpickle\.decode\Z|numpy\.load\Z")),
)  # fmt: skip
# What starts a file that stands somewhere, or makes it a program: of Python, or a library.
RUNS_FILE: Final = lazy(
    r"runpy\.run_path\Z|imp\.load_source\Z|importlib\.util\.spec_from_file_location\Z|[\w.]*SourceFileLoader\Z|execfile\Z"
    r"|os\.chmod\Z|ctypes\.(?:CDLL|WinDLL|OleDLL|PyDLL|(?:cdll|windll|oledll)\.LoadLibrary)\Z"
)
SECRET_FILES: Final = lazy(
    r"(?:\.ssh[/\\]|\bid_rsa\b|\bid_ed25519\b|\.aws[/\\]credentials|\.netrc\b|\.pypirc\b|\.npmrc\b|\.docker[/\\]config|\.kube[/\\]config|\.git-credentials|\.config[/\\]gcloud|application_default_credentials|\.azure[/\\]|huggingface[/\\]token|\.gnupg[/\\]|/etc/shadow|/etc/passwd|\.bash_history|\.zsh_history|\.env\b(?=[\"'\s]|$))",
)
BROWSERS: Final = lazy(
    r"Login Data|Local State|cookies\.sqlite|logins\.json|key4\.db|[\\/]Web Data|User Data[\\/]|Local Storage[\\/]+leveldb|Opera Software|BraveSoftware|Yandex[\\/]+YandexBrowser|Google[\\/]+Chrome[\\/]|Mozilla[\\/]+Firefox[\\/]+Profiles|os_crypt|encrypted_key|moz_cookies|CryptUnprotectData"
)
WALLETS: Final = lazy(
    r"wallet\.dat|[Ee]xodus(?:\.wallet|[\\/])|[Ee]lectrum[\\/]wallets|[\\/]Atomic[\\/]|Ethereum[\\/]keystore|[Mm]etamask|nkbihfbeogaeaoehlefnkodbefgpgknn|[Pp]hantom[\\/]|bfnaelmomeimhlpmgjnjophhpkkoljpa|Ledger Live|\.solana[\\/]|solana[\\/]id\.json|[Tt]rust ?[Ww]allet|Coinomi|Armory[\\/]|Zcash[\\/]|Guarda[\\/]|mnemonic phrase|seed phrase"
)
MESSENGERS: Final = lazy(
    r"discord(?:canary|ptb)?[\\/]+Local Storage|Telegram Desktop[\\/]tdata|\btdata\b|\[\\w-\]\{24\}\\?\.\[\\w-\]\{6\}|mfa\\?\.\[\\w-\]\{84\}|dQw4w9WgXcQ"
)
DROP_POINTS: Final = lazy(
    r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{6,}/[\w-]{20,}|api\.telegram\.org/bot\d{6,}:[\w-]{20,}|hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{10,}|[\w.-]+\.(?:oast\.(?:fun|pro|live|site|online|me)|oastify\.com|burpcollaborator\.net|interact\.sh|interactsh\.com|dnslog\.cn|ceye\.io|requestcatcher\.com|m\.pipedream\.net|eo\w+\.x\.pipedream\.net|requestbin\.net|b\.requestbin\.net)|webhook\.site/[0-9a-f]{8}-|webhook\.site/#|(?:canarytokens\.(?:com|org))/\w+|hookbin\.com/\w+|(?:ptsv2|ptsv3)\.com|beeceptor\.com|grabify\.link|iplogger\.(?:org|com)|rentry\.co/\w+/raw|pastebin\.com/raw/\w+|hastebin\.com/raw|transfer\.sh/|anonfiles\.com|file\.io/\w*|gofile\.io/uploadFile|api\.ipify\.org|ipinfo\.io/json|ip-api\.com/json|checkip\.amazonaws\.com|(?:[\w-]+\.)?ngrok(?:-free)?\.(?:io|app)|trycloudflare\.com|cdn\.discordapp\.com/attachments/\d+/\d+/\S+\.(?:exe|dll|zip|rar|py|bat|ps1|txt)"
)
SURE_DROP_POINTS: Final = lazy(
    r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{15,}/[\w-]{50,}|api\.telegram\.org/bot\d{8,}:[\w-]{30,}|\.(?:oast\.(?:fun|pro|live|site|online|me)|oastify\.com|burpcollaborator\.net|interact\.sh|interactsh\.com|dnslog\.cn|ceye\.io|x\.pipedream\.net|m\.pipedream\.net)|webhook\.site/[0-9a-f]{8}-|grabify\.link/\w|iplogger\.(?:org|com)/\w|cdn\.discordapp\.com/attachments/\d+/\d+/\S+\.(?:exe|dll|rar|bat|ps1)"
)
PERSISTENCE: Final = lazy(
    r"Start Menu[\\/]+Programs[\\/]+Startup|CurrentVersion[\\/]+Run\b|/etc/(?:cron|rc\.local|systemd|ld\.so\.preload|profile\.d)|\bcrontab\s+-|LaunchAgents/|LaunchDaemons/|\.config/(?:systemd|autostart)|schtasks\s+/create|\.ssh/authorized_keys|usercustomize\.py|sitecustomize\.py|\.git/hooks/(?:pre|post)|(?:\.bashrc|\.zshrc|\.profile|\.bash_profile)\b"
)
HIDDEN_COMMAND: Final = lazy(
    r"powershell[^\n]{0,400}(?:-w(?:indowstyle)?\s+hidden|-e(?:nc|ncodedcommand)?\s+[A-Za-z0-9+/=]{16,}|-nop\b|downloadfile|downloadstring|invoke-webrequest|\biwr\b|\biex\b|start-bitstransfer|-ExecutionPolicy\s+Bypass)|certutil[^\n]{0,400}-urlcache|bitsadmin[^\n]{0,400}/transfer|mshta\s+(?:https?|vbscript|javascript)|regsvr32[^\n]{0,400}/i:http|rundll32[^\n]{0,400}(?:javascript|http)|\bcmd(?:\.exe)?\s+/c\s+start\s+/min|nohup\s+[^\n]{0,400}&|curl\s[^\n]{0,400}\|\s*(?:ba|z)?sh|wget\s[^\n]{0,400}(?:\|\s*(?:ba)?sh|&&\s*(?:chmod|sh|bash|\./))|xmrig|stratum\+tcp|minerd|/tmp/\.\w",
    re.IGNORECASE,
)
_OBFUSCATORS: Final = lazy(
    r"_+\s*=\s*lambda\s+_+\s*:\s*__import__|from pyarmor_runtime\w* import|__pyarmor__\(__name__|pyarmor\(__name__|(?:^|\n)#[^\n]{0,40}[Oo]bfuscated (?:by|with|using) |BlankOBF|PyObfuscate|development-tools\.net|pyobfuscate\.com|freecodingtools\.org|Oxyry|pyminify_obf|__import__\(['\"]zlib['\"]\)\.decompress\(__import__\(['\"]base64|exec\(\(_\)\(b?['\"]|wopvEaTEcopFEavc|IlIlIlIl|lIIlIlIl|OOO0OO0O|magic\s*=\s*['\"][A-Za-z0-9+/=]{200,}"
)
EMBEDDED: Final = lazy(
    r"(?:exec|eval)\s*\(.{0,120}(?:urlopen|requests\.get|urlretrieve|b64decode|decompress|fromhex|\.decrypt|marshal\.loads|recv\()|(?:urlopen|requests\.get|b64decode)\s*\(.{0,200}(?:exec|eval)\s*\(|import\s+\w+.{0,80};\s*exec\(|(?:fetch\(|https?['\"]?\)?\.(?:get|request)\(|axios).{0,300}(?:\beval\b|\bFunction\s*\(|vm\.run)|\beval\s*\(\s*(?:await|Buffer\.from|atob)",
    re.DOTALL,
)
# Calls that make harm together: (what is needed, what it comes to). A call of each has to stand in one module.
TOGETHER: Final = (
    ((lazy(r"socket\.(?:socket|create_connection)"), lazy(r"os\.dup2\Z|pty\.spawn\Z")), "a socket becomes the streams of a shell"),
    ((lazy(r"mmap\.mmap\Z"), lazy(r"ctypes\.(?:CFUNCTYPE|WINFUNCTYPE)")), "memory is written and run"),
    ((lazy(r"pynput\.|keyboard\.(?:on_press|hook|record|on_release|read_event)"), lazy(r"(?:requests|httpx)\.(?:post|get|put)|urlopen|\.sendmail|smtplib|\.sendall|dhooks|discord_webhook")), "keys are recorded and sent away"),
    ((lazy(r"os\.walk\Z|glob\.i?glob\Z|\.rglob\Z"), lazy(r"[\w.()?]*\.encrypt\Z"), lazy(r"[\w.()?]*\.write(?:_bytes)?\Z")), "the files of a folder are encrypted"),
    ((lazy(r"PIL\.ImageGrab\.|pyautogui\.screenshot|mss\.|cv2\.VideoCapture|sounddevice\.rec|pyaudio\."), lazy(r"(?:requests|httpx)\.post|\.sendmail|smtplib|dhooks|discord_webhook|telebot")), "screen, camera or sound are recorded and sent away"),
    ((lazy(r"pyperclip\.paste|win32clipboard\.GetClipboardData|\.clipboard_get\Z"), lazy(r"pyperclip\.copy|win32clipboard\.SetClipboard|\.clipboard_append\Z"), lazy(r"re\.(?:match|search|compile|findall|fullmatch)\Z|threading\.Thread\Z")), "what is in the clipboard is replaced"),
)  # fmt: skip
SHELLCODE: Final = lazy(
    r"(?:ctypes\.windll\.kernel32|kernel32)\.(?:VirtualAlloc\w*|CreateThread|CreateRemoteThread|WriteProcessMemory|RtlMoveMemory|VirtualProtect)|ctypes\.windll\.ntdll\.\w+"
)
_HARMLESS: Final = lazy(
    r"\s*(?:(?:sudo\s+)?(?:git|hg|svn|gcc|g\+\+|clang\S*|cc|c\+\+|make|cmake|ninja|meson|cargo|rustc|go|javac?|node|npm|npx|yarn|pnpm|swig|bison|flex|protoc|nvcc|nvidia-smi|hipconfig|rocminfo|rocm\S*|llvm-config|pkg-config|xcrun|xcode-select|sw_vers|uname|arch|lscpu|ldconfig|ldd|otool|which|where|whereis|type|stty|tput|clear|cls|chcp|locale|getconf|sysctl|system_profiler|ps|df|free|hostname|id|whoami|ver|lsb_release|dpkg\S*|brew|conda|pandoc|latex\S*|dot|docker|kubectl|ffmpeg|ffprobe|tar|ls|dir|cat|echo|mkdir|python\S* (?:-V|--version|setup\.py))\b|(?:\S+ )?(?:--version|-V|-v|version|--help)\s*\Z)",
    re.IGNORECASE,
)


_DROPS: Final = (
    "discord", "telegram", "hooks.slack", ".oast", "oastify", "burpcollaborator", "interact.sh", "interactsh", "dnslog", "ceye.io",
    "requestcatcher", "pipedream", "requestbin", "webhook.site", "canarytokens", "hookbin", "ptsv", "beeceptor", "grabify", "iplogger",
    "rentry.co", "pastebin", "hastebin", "transfer.sh", "anonfiles", "file.io", "gofile", "ipify", "ipinfo.io", "ip-api", "checkip.",
    "ngrok", "trycloudflare",
)  # fmt: skip
# What strings are kept for, each with literals of which every text that it matches holds one, in lower case.
TELLING: Final = (
    (DROP_POINTS, _DROPS),
    (SURE_DROP_POINTS, _DROPS),
    (SECRET_FILES, (
        ".ssh", "id_rsa", "id_ed25519", ".aws", ".netrc", ".pypirc", ".npmrc", ".docker", ".kube", ".git-cred", ".config", "application_default",
        ".azure", "huggingface", ".gnupg", "/etc/", "_history", ".env",
    )),
    (BROWSERS, (
        "login data", "local state", "cookies.sqlite", "logins.json", "key4.db", "web data", "user data", "local storage", "opera software", "brave",
        "yandex", "chrome", "firefox", "os_crypt", "encrypted_key", "moz_cookies", "cryptunprotect",
    )),
    (WALLETS, (
        "wallet", "xodus", "lectrum", "atomic", "ethereum", "etamask", "nkbih", "hantom", "bfnae", "ledger", "solana", "coinomi", "armory", "zcash",
        "guarda", "mnemonic", "seed phrase",
    )),
    (MESSENGERS, ("discord", "tdata", "{24", "{84", "dqw4")),
    (PERSISTENCE, (
        "start menu", "currentversion", "/etc/", "crontab", "launchagents", "launchdaemons", ".config", "schtasks", "authorized_keys", "customize.py",
        ".git/hooks", ".bashrc", ".zshrc", ".profile", ".bash_profile",
    )),
    (HIDDEN_COMMAND, (
        "powershell", "certutil", "bitsadmin", "mshta", "regsvr32", "rundll32", "cmd", "nohup", "curl", "wget", "xmrig", "stratum", "minerd", "/tmp/.",  # noqa: S108  # searched for, not used
    )),
    (EMBEDDED, ("exec", "eval")),
)  # fmt: skip
# Literals of which every mark of an obfuscator holds one.
_OBFUSCATED: Final = (
    "__import__", "yarmor", "bfuscat", "BlankOBF", "development-tools.net", "freecodingtools.org", "Oxyry", "pyminify_obf", "exec((_)(", "wopvEaTEcopFEavc",
    "IlIlIl", "OOO0OO0O", "magic",
)  # fmt: skip


def obfuscator(source: str) -> re.Match[str] | None:
    """The first mark of a known obfuscator in Python source."""
    return _OBFUSCATORS.search(source) if any(literal in source for literal in _OBFUSCATED) else None


@lru_cache(maxsize=65_536)
def label(name: str) -> str:
    """The labels of what a call of this name gives back."""
    return "".join(kind for kind, pattern in _SOURCES if pattern.match(name))


@lru_cache(maxsize=65_536)
def sinks(name: str) -> str:
    """What a call of this name does with its arguments."""
    return "".join(kind for kind, pattern in _SINKS if pattern.match(name))


def is_harmless_command(text: str) -> bool:
    """Whether a constant command only asks, builds or shows something."""
    return bool(_HARMLESS.match(text)) and not HIDDEN_COMMAND.search(text)
