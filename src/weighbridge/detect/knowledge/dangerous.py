"""Knows which callables do harm when a pickle calls them, and what they can do.

Exact names first, then modules by longest prefix. Sources: `pickle` and library documentation, the
advisories named in the rules, "The Art of Hide and Seek" (arXiv 2508.19774), and our technique corpus.
"""

from __future__ import annotations

from typing import Final

RUNS = ("PKL-001", "runs commands or code")
INDIRECT = ("PKL-003", "turns a string or object into another callable, or defers a call")
LOADS = ("PKL-004", "deserialises or loads code from elsewhere")
FETCHES = ("PKL-005", "fetches from the network or installs code")
FILES = ("PKL-006", "reads, writes or removes files")
STALLS = ("PKL-016", "stops or stalls the process")
REMOTE = ("TCH-013", "calls functions on other machines")
STORED = ("JBL-003", "rebuilds a function from stored bytecode")

_MODULES: Final[dict[tuple[str, str], str]] = {
    RUNS: """
        os posix nt subprocess _posixsubprocess pty commands popen2 runpy code codeop timeit cProfile profile bdb pdb
        trace doctest unittest asyncio idlelib lib2to3 rlcompleter distutils setuptools test venv webbrowser pydoc
        _osx_support _aix_support _pyrepl imaplib mailcap platform multiprocessing concurrent.futures sched
        typing annotationlib gettext ast symtable compileall py_compile zipapp tkinter turtle turtledemo _testcapi cgi cgitb
        pickletools dis inspect this antigravity numpy.testing numpy.f2py numpy.distutils numpy._pytesttester sympy jinja2 mako
        pandas.core.computation pandas.io.clipboard torch.utils.collect_env torch.utils.bottleneck torch.utils.cpp_extension
        torch._inductor torch._dynamo torch.fx.experimental torch.testing torch.utils._config_module torch.distributed.run
        torch.distributed.launcher torch.distributed.elastic torch.utils.benchmark mlflow IPython ipykernel fabric paramiko invoke
        plumbum sh pexpect ptyprocess psutil celery dask ray nltk.internals pywin32 win32api win32com wmi sagemaker scipy._lib._bunch
        scipy.io._fortran pyspark py pytest _pytest nose black click numexpr matplotlib.animation sklearn.externals
    """,
    INDIRECT: """
        pkgutil importlib imp _frozen_importlib _frozen_importlib_external zipimport xmlrpc logging.config types _operator
        marshal ctypes cffi weakref contextlib threading _thread atexit _weakref unittest.mock builtins __builtin__
        __builtins__ sys gc _ctypes _xxsubinterpreters _interpreters copyreg copy_reg enum dataclasses reprlib
        inspect functools itertools string
    """,
    LOADS: """
        pickle _pickle cPickle dill cloudpickle joblib joblib.externals shelve jsonpickle yaml ruamel oyaml hickle
        klepto compress_pickle pandas.io.pickle pandas.compat.pickle_compat torch.serialization torch.jit torch.package.package_importer
        torch.distributed.checkpoint.state_dict_loader torch._export.serde numpy.lib.npyio numpy.lib.format numpy.lib._npyio_impl
        numpy.lib._format_impl keras.saving keras.models tensorflow keras.src torch.utils.data.datapipes torch._weights_only_unpickler
        torch._ops torch._classes site sysconfig skops.io plistlib srsly
    """,
    FETCHES: """
        pip ensurepip urllib urllib2 http httplib requests httpx aiohttp ftplib smtplib smtpd poplib nntplib telnetlib
        socket _socket ssl _ssl socketserver xmlrpc.client torch.hub huggingface_hub transformers.utils.hub datasets
        boto3 botocore websocket websockets uv conda wget pycurl kagglehub gdown wandb torch.utils.model_zoo
        sklearn.datasets asyncore asynchat selectors select email.mime
    """,
    FILES: """
        io _io shutil pathlib tempfile gzip bz2 lzma tarfile zipfile wave sqlite3 dbm linecache fileinput glob fcntl mmap
        logging.handlers csv configparser netrc filecmp genericpath posixpath ntpath stat zipfile._path aifc sunau chunk
        torch.utils.tensorboard tensorboard h5py fsspec s3fs smart_open matplotlib.pyplot PIL.Image imageio scipy.io openpyxl
    """,
    STALLS: "signal faulthandler resource",
    REMOTE: "torch.distributed.rpc torch._C._distributed_rpc",
}
_NAMES: Final[dict[tuple[str, str], str]] = {
    RUNS: """
        builtins.eval builtins.exec builtins.compile builtins.execfile builtins.breakpoint builtins.input builtins.help
        builtins.__import__ uuid._get_command_stdout uuid._popen code.interact torch.fx._symbolic_trace._exec_with_source
        torch.fx.graph_module._exec_with_source torch.fx.graph_module._forward_from_src torch.fx.graph_module.reduce_graph_module
        torch.fx.graph_module.reduce_package_graph_module torch.fx.graph_module.reduce_deploy_graph_module
        torch.jit.unsupported_tensor_ops.execWrapper torch.jit._script.script torch.jit.frontend.get_jit_def
        pandas.eval pandas.core.frame.DataFrame.eval pandas.core.frame.DataFrame.query pandas.core.generic.NDFrame.pipe
        numpy.vectorize numpy.apply_along_axis numpy.apply_over_axes numpy.fromfunction numpy.frompyfunc numpy.piecewise
        numpy.load_library numpy.ctypeslib.load_library torch.ops.load_library torch.compile torch.vmap
        collections.namedtuple torch.utils.data._utils.worker._worker_loop torch.multiprocessing.spawn
        torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression
        sklearn.utils._testing.ignore_warnings scipy.LowLevelCallable
    """,
    INDIRECT: """
        builtins.getattr builtins.setattr builtins.delattr builtins.globals builtins.locals builtins.vars builtins.dir
        builtins.map builtins.filter builtins.type builtins.sorted builtins.max builtins.min builtins.iter builtins.next
        builtins.super builtins.classmethod builtins.staticmethod builtins.property builtins.print builtins.callable
        functools.reduce functools.singledispatch functools.cached_property functools.lru_cache functools.wraps
        operator.methodcaller operator.attrgetter operator.call copyreg.add_extension copyreg._inverted_registry
        copyreg.__newobj__ copyreg.__newobj_ex__ copyreg.constructor copyreg.pickle
        copyreg._extension_registry copyreg._extension_cache copyreg.dispatch_table threading.Timer threading.Thread
        itertools.starmap itertools.accumulate string.Formatter types.FunctionType types.CodeType types.MethodType
    """,
    LOADS: """
        torch.load torch.export.load torch.package.PackageImporter torch.distributed.checkpoint.load torch.storage._load_from_bytes numpy.load numpy.loads joblib.load joblib.numpy_pickle.load
        pandas.read_pickle pandas.io.pickle.read_pickle torch.utils.data.datapipes.utils.decoder.basichandlers
        sklearn.utils._joblib.load keras.models.load_model torch.jit.load torch.jit._serialization.load xgboost.core.XGBModel.load_model
        numpy.core.multiarray.fromfile
    """,
    FETCHES: "pandas.read_csv pandas.read_json pandas.read_html pandas.read_xml pandas.read_parquet pandas.read_table pandas.read_excel",
    FILES: """
        builtins.open codecs.open codecs.StreamReaderWriter logging.FileHandler logging.basicConfig numpy.save numpy.savez
        numpy.savez_compressed numpy.savetxt numpy.fromfile numpy.loadtxt numpy.genfromtxt numpy.memmap numpy.DataSource
        numpy.lib.npyio.DataSource numpy.fromregex numpy.fromstring numpy.ndarray.tofile numpy.recfromtxt torch.save torch.from_file
        torch.UntypedStorage.from_file joblib.dump pandas.read_fwf pandas.DataFrame.to_csv pandas.core.generic.NDFrame.to_csv
        pandas.core.generic.NDFrame.to_pickle
    """,
    STALLS: "sys.exit sys._exit builtins.exit builtins.quit builtins.SystemExit time.sleep os._exit os.abort os.kill",
    STORED: """
        cloudpickle.cloudpickle._make_function cloudpickle.cloudpickle._make_skel_func cloudpickle.cloudpickle._builtin_type
        cloudpickle.cloudpickle._make_skeleton_class cloudpickle.cloudpickle._fill_function cloudpickle.cloudpickle._rehydrate_skeleton_class
        cloudpickle.cloudpickle._function_setstate cloudpickle.cloudpickle._class_setstate cloudpickle.cloudpickle._make_empty_cell
        cloudpickle.cloudpickle._make_cell cloudpickle.cloudpickle.subimport cloudpickle.cloudpickle.dynamic_subimport
        cloudpickle.cloudpickle._lookup_class_or_track cloudpickle.cloudpickle._make_typevar cloudpickle.cloudpickle._make_skeleton_enum
        dill._dill._create_function dill._dill._create_code dill._dill._create_cell dill._dill._create_type dill._dill._import_module
        dill._dill._load_type dill._dill._eval_repr dill._dill._get_attr dill._dill._create_namedtuple dill._dill._create_weakref
        dill._dill._create_lock dill._dill._create_filehandle dill._dill._shims
    """,
}
BY_MODULE: Final[dict[str, tuple[str, str]]] = {name: kind for kind, text in _MODULES.items() for name in text.split()}
BY_NAME: Final[dict[str, tuple[str, str]]] = {name: kind for kind, text in _NAMES.items() for name in text.split()}
PYTHON2: Final = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "cPickle": "pickle",
    "_pickle": "pickle",
    "_operator": "operator",
}
PYTHON2_NAMES: Final = {"long": "int", "unicode": "str", "xrange": "range", "unichr": "chr", "basestring": "str"}

STANDARD_LIBRARY: Final = frozenset(
    [
        "__future__",
        "__main__module",
        "abc",
        "aifc",
        "argparse",
        "array",
        "ast",
        "asyncio",
        "atexit",
        "audioop",
        "base64",
        "bdb",
        "binascii",
        "bisect",
        "builtins",
        "bz2",
        "calendar",
        "cgi",
        "cgitb",
        "chunk",
        "cmath",
        "cmd",
        "code",
        "codecs",
        "codeop",
        "collections",
        "colorsys",
        "compileall",
        "concurrent",
        "configparser",
        "contextlib",
        "contextvars",
        "copy",
        "copyreg",
        "crypt",
        "csv",
        "ctypes",
        "curses",
        "dataclasses",
        "datetime",
        "dbm",
        "decimal",
        "difflib",
        "dis",
        "distutils",
        "doctest",
        "email",
        "encodings",
        "enum",
        "errno",
        "faulthandler",
        "fcntl",
        "filecmp",
        "fileinput",
        "fnmatch",
        "fractions",
        "ftplib",
        "functools",
        "gc",
        "genericpath",
        "getopt",
        "getpass",
        "gettext",
        "glob",
        "graphlib",
        "grp",
        "gzip",
        "hashlib",
        "heapq",
        "hmac",
        "html",
        "http",
        "idlelib",
        "imaplib",
        "imghdr",
        "imp",
        "importlib",
        "inspect",
        "io",
        "ipaddress",
        "itertools",
        "json",
        "keyword",
        "lib2to3",
        "linecache",
        "locale",
        "logging",
        "lzma",
        "mailbox",
        "mailcap",
        "marshal",
        "math",
        "mimetypes",
        "mmap",
        "modulefinder",
        "msilib",
        "msvcrt",
        "multiprocessing",
        "netrc",
        "nis",
        "nntplib",
        "nt",
        "ntpath",
        "nturl2path",
        "numbers",
        "opcode",
        "operator",
        "optparse",
        "os",
        "ossaudiodev",
        "parser",
        "pathlib",
        "pdb",
        "pickle",
        "pickletools",
        "pipes",
        "pkgutil",
        "platform",
        "plistlib",
        "poplib",
        "posix",
        "posixpath",
        "pprint",
        "profile",
        "pstats",
        "pty",
        "pwd",
        "py_compile",
        "pyclbr",
        "pydoc",
        "pydoc_data",
        "pyexpat",
        "queue",
        "quopri",
        "random",
        "re",
        "readline",
        "reprlib",
        "resource",
        "rlcompleter",
        "runpy",
        "sched",
        "secrets",
        "select",
        "selectors",
        "shelve",
        "shlex",
        "shutil",
        "signal",
        "site",
        "smtpd",
        "smtplib",
        "sndhdr",
        "socket",
        "socketserver",
        "spwd",
        "sqlite3",
        "sre_compile",
        "sre_constants",
        "sre_parse",
        "ssl",
        "stat",
        "statistics",
        "string",
        "stringprep",
        "struct",
        "subprocess",
        "sunau",
        "symtable",
        "sys",
        "sysconfig",
        "syslog",
        "tabnanny",
        "tarfile",
        "telnetlib",
        "tempfile",
        "termios",
        "textwrap",
        "this",
        "threading",
        "time",
        "timeit",
        "tkinter",
        "token",
        "tokenize",
        "tomllib",
        "trace",
        "traceback",
        "tracemalloc",
        "tty",
        "turtle",
        "turtledemo",
        "types",
        "typing",
        "unicodedata",
        "unittest",
        "urllib",
        "uu",
        "uuid",
        "venv",
        "warnings",
        "wave",
        "weakref",
        "webbrowser",
        "winreg",
        "winsound",
        "wsgiref",
        "xdrlib",
        "xml",
        "xmlrpc",
        "zipapp",
        "zipfile",
        "zipimport",
        "zlib",
        "zoneinfo",
        "test",
        "__builtin__",
        "__builtins__",
        "commands",
        "popen2",
        "cPickle",
        "copy_reg",
        "urllib2",
        "urlparse",
        "httplib",
        "HTMLParser",
        "StringIO",
        "cStringIO",
        "annotationlib",
        "compression",
    ]
)
