// Whether a Python file names anything that a chain could be made of. Files that do not are ways from one file to the next, and
// are read as outlines (formats/python_outline). No finding comes of this rule.

rule risky_python {
    strings:
        $import = /(^|[\s;(])(import|from)[ \t]+([\w.]+[ \t]*,[ \t]*)*(subprocess|socket|urllib2|urllib3|requests|aiohttp|http|ftplib|smtplib|paramiko|ctypes|winreg|marshal|base64|zlib|bz2|lzma|codecs|binascii|cryptography|Crypto\w*|pickle|cPickle|cloudpickle|dill|joblib|shelve|pty|runpy|wget|gdown|webbrowser|telebot|dhooks|discord_webhook|pexpect|win32\w+|builtins|code|imp|dns|xmlrpc|imaplib|poplib|redis|cffi|mmap|cloudscraper|niquests|websocket|pyperclip|pynput|commands)\b/
        // Modules that most files take types and addresses from: what counts is anything else that is done with them.
        $client = /\bhttpx([^\w.\r\n]|\.[^A-Z]|\.(Client|Async|HTTP|Base|Mount|Proxy|WSGI|ASGI)|[ \t]*\r?\n[ \t\r\n]*\.)/
        $address = /\burllib([^\w.\r\n]|\.[^p]|\.p[^a]|[ \t]*\r?\n[ \t\r\n]*\.)/
        $loop = /\basyncio([ \t]*[,);=\]\\]|[ \t]+(as|import)\b|\.[^\w]|[ \t]*\r?\n[ \t\r\n]*\.|\.(subprocess|create_subprocess|open_connection|open_unix))/
        $folded = /(^|[\s;(])(import|from)[ \t]*\\\r?\n/
        $runs = /(^|[^\w.])(exec|eval|compile|execfile|__import__|chr)[ \t]*\(/
        $names = /(^|[^\w.])(globals|locals|vars)[ \t]*\([^()\n]{0,80}\)[ \t]*(\.get|\[[ \t]*([^_nk \t]|n[^a]|k[^e\]]|_[^_]))/
        $modules = /\bsys\.modules(\.get\(|\[[ \t]*(["'(]|[A-Za-z_.]+\())/
        $process = /\bos\.(system|popen|exec|spawn|startfile|posix_spawn)/
        $environment = /\bos\.environ(b\b|\.(copy|items|values|keys)\b|[^\w.\[])/
        $chosen = /getattr\([ \t]*(os|sys|builtins|__builtins__|subprocess)\b/
        $loaded = /import_module[ \t]*\([^()\n]{0,200}(\([^()\n]{0,80}\))?[^()\n]{0,80}\)[ \t]*\./
        $loaded_by_name = /import_module[ \t]*\([ \t]*["'](os|subprocess|builtins|socket|ctypes|base64|urllib|requests|marshal|zlib)\b/
        $escaped = /\\x[0-9a-fA-F]{2}\\x/
        $t0 = "api/webhooks"
        $t1 = "api.telegram.org/bot"
        $t2 = "oast."
        $t3 = "oastify"
        $t4 = "burpcollaborator"
        $t5 = "interact.sh"
        $t6 = "interactsh"
        $t7 = "pipedream"
        $t8 = "webhook.site"
        $t9 = "grabify"
        $t10 = "iplogger"
        $t11 = "Login Data"
        $t12 = "key4.db"
        $t13 = "leveldb"
        $t14 = "wallet.dat"
        $t15 = "xodus"
        $t16 = "tdata"
        $t17 = "CurrentVersion"
        $t18 = "os.dup2"
        $t19 = "pynput"
        $t20 = "pyperclip"
        $t21 = "ImageGrab"
        $t22 = ".encrypt("
        $t23 = "LaunchAgents"
        $t24 = "authorized_keys"
        $t25 = "owershell"
        $t26 = "xmrig"
        $t27 = "stratum+tcp"
        $t28 = "dQw4"
        $t29 = "b64decode"
        $t30 = "                                                                                                                                                      "
        $t31 = "__builtins__"
        $t32 = "__subclasses__"
        $t33 = "urlopen"
        $t34 = "exec_module"
        $t35 = "spec_from"
        $t36 = "SourceFileLoader"
        $t37 = "create_subprocess"
        $t38 = "subprocess_"
        $t39 = "open_connection"
        $t40 = "create_connection"
        $secrets = /\bid_(rsa|ed25519|ecdsa|dsa)\b|logins\.json|cookies\.sqlite|\/etc\/shadow|\.gnupg|_history\b|solana[\/\\]+id\.json/
        $t41 = ".ssh"
        $t42 = "serviceaccount/token"
        $t43 = ".git-credentials"
        $t44 = ".aws/credentials"
        $t45 = "keyring.get_"
        $t46 = "get_frozen_credentials"
        $t47 = "browser_cookie3"
        $t48 = /timeit\.(timeit|repeat|Timer)/
        $t49 = "run_path"
        $t50 = ".bashrc"
        $t51 = ".zshrc"
        $t52 = ".bash_profile"
        $t53 = "autostart"
        $t54 = "systemd/user"
        $t55 = ".git/hooks"
        $t56 = "sitecustomize.py"
        $t57 = "usercustomize.py"
        $t58 = "@ http"
        $t59 = "dependency_links"
        $t60 = "__pyarmor__"
        $t61 = /["']Startup["'\\\/]/
        $t62 = "on_message"
        $t63 = "pip._internal"
        $t64 = "pip.main"
        $t65 = "get_object("
        $home = /expanduser\([ \t]*["'](~|\$HOME|%USERPROFILE%)["']/
        $profiled = /\b(cProfile|profile|pdb|trace)\.run/
        $traced = /\bsys\.set(trace|profile)\b/
        $chain = /\.functions\.\w+\(/
    condition: any of them
}
